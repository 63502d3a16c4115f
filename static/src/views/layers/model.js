/**
 * From the unions of an observation to rows: a path each, and what each layer has of it, as one sees it who looks down
 * through the layers. Pure: data in, data out.
 */

/** @typedef {import("../../types.js").Observation} Observation */
/** @typedef {import("../../types.js").Union} Union */
/** @typedef {import("../../types.js").Tree} Tree */
/** @typedef {Tree["files"][number]} File */

/**
 * What a layer has of a path: seen in the union, covered by a layer above, or a mark that hides what is below.
 * @typedef {{state: "seen" | "covered" | "whiteout" | "opaque", size: number | null, key: string}} Cell
 */
/**
 * @typedef {object} Row
 * @property {string} key
 * @property {string} path
 * @property {string} type
 * @property {"added" | "changed" | "whiteout" | "opaque" | ""} kind  what the layer written to did, "" nothing
 * @property {boolean} visible
 * @property {number} layer   where the kind lies, else where the file is seen
 * @property {number | null} below  where what was changed or hidden lies
 * @property {(Cell | null)[]} cells  one a layer
 */
/**
 * @typedef {object} Stack
 * @property {string} key
 * @property {Union} union
 * @property {Row[]} rows
 * @property {number} left  rows that are not shown: unchanged ones
 * @property {boolean} cut  the engine told not all
 */

/** Rows of files nobody changed, in all drawings together; those that were changed are always shown. */
const UNCHANGED = 60;
const FEW = 6;

/** @param {Observation} seen @returns {Stack[]} the learner's first, the lab's own root last */
export function stacks(seen) {
  const { unions = [], trees = {} } = seen.layers ?? {};
  const own = unions.filter((union) => !union.of_lab);
  const room = Math.floor(UNCHANGED / Math.max(1, own.length));
  return [...own, ...unions.filter((union) => union.of_lab)].map((union) => stack(union, trees, room));
}

/** @param {Union} union */
export const unionKey = (union) => `union:${union.device}`;
/** @param {Union} union @param {{path: string, mode: string}} layer */
export const layerKey = (union, layer) => `layer:${union.device}:${layer.mode}:${layer.path}`;
/** @param {Union} union @param {{path: string, kind: string}} change */
const changeKey = (union, change) => `change:${change.kind}:${union.device}:${change.path}`;
/** @param {string | null} tree @param {File} file */
const fileKey = (tree, file) => `file:${tree}:${file.mark ?? file.type}:${file.path}`;

/** @param {Union} union @param {Record<string, Tree>} trees @param {number} room for unchanged rows @returns {Stack} */
function stack(union, trees, room) {
  const held = union.layers.map((layer) => trees[layer.tree ?? ""]);
  const maps = held.map((tree) => new Map((tree?.files ?? []).map((file) => [file.path, file])));
  const changes = new Map(union.changes.map((change) => [change.path, change]));
  const all = [...new Set([...changes.keys(), ...maps.flatMap((map) => [...map.keys()])])].sort();
  const rows = all
    .filter((path, index) => told(path, all[index + 1], changes, maps))
    .map((path) => row(union, path, maps, changes))
    .filter((one) => one.kind || one.cells.some(Boolean)); // a mark that AUFS was told not to heed is nothing
  const changed = rows.filter((one) => one.kind);
  // Of an image's hundreds of files none says more than another: a few, and how many there are.
  const most = rows.length - changed.length > room ? Math.max(0, FEW - changed.length) : room;
  let free = most;
  const shown = rows.filter((one) => one.kind || free-- > 0);
  return {
    key: unionKey(union),
    union,
    rows: shown,
    left: rows.length - shown.length,
    cut: held.some((tree) => tree?.truncated),
  };
}

/**
 * A directory with something in it is told by that, if it is no mark itself.
 * @param {string} path @param {string | undefined} next @param {Map<string, {kind: string}>} changes @param {Map<string, File>[]} maps
 */
function told(path, next, changes, maps) {
  const kind = changes.get(path)?.kind;
  if (kind === "whiteout" || kind === "opaque") return true;
  return !(next?.startsWith(`${path}/`) && maps.every((map) => (map.get(path)?.type ?? "directory") === "directory"));
}

/** @param {Union} union @param {string} path @param {Map<string, File>[]} maps @param {Map<string, any>} changes @returns {Row} */
function row(union, path, maps, changes) {
  const change = changes.get(path);
  const visible = seenIn(union, path, maps);
  const cells = union.layers.map((layer, index) => {
    const file = maps[index].get(path);
    if (!file) return change?.below === index ? cell("covered", null, `below:${path}`) : null;
    const key = fileKey(layer.tree, file);
    if (file.mark === "whiteout") return obeyed(union, index) ? cell("whiteout", null, key) : null;
    const wall = change?.kind === "opaque" && change.layer === index;
    return cell(index !== visible ? "covered" : wall ? "opaque" : "seen", size(file), key);
  });
  return {
    key: change ? changeKey(union, change) : `row:${union.device}:${path}`,
    path,
    type: change?.type ?? maps.find((map) => map.has(path))?.get(path)?.type ?? "other",
    kind: change?.kind ?? "",
    visible: visible >= 0,
    layer: change?.layer ?? (visible >= 0 ? visible : Math.max(0, cells.findIndex(Boolean))),
    below: change?.below ?? null,
    cells,
  };
}

/** Marks in a branch that AUFS was told is only `ro` are plain files. @param {Union} union @param {number} index */
const obeyed = (union, index) => union.driver === "overlay" || union.layers[index].mode !== "ro";

/** The topmost layer that has a path, if no layer above it hides it; else -1. @param {Union} union @param {string} path @param {Map<string, File>[]} maps */
function seenIn(union, path, maps) {
  for (const [index, map] of maps.entries()) {
    const file = map.get(path);
    const marks = obeyed(union, index);
    if (file && file.mark !== "whiteout") return index;
    if (hides(path, map, marks)) return -1;
  }
  return -1;
}

/** @param {Cell["state"]} state @param {number | null} size @param {string} key @returns {Cell} */
const cell = (state, size, key) => ({ state, size, key });
/** @param {File} file */
const size = (file) => (file.type === "file" ? file.size : null);

/** Whether a layer hides a path from the layers below it: by the path itself or by a directory it lies in. @param {string} path @param {Map<string, File>} map @param {boolean} marks */
function hides(path, map, marks) {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    const file = map.get(path.slice(0, end));
    if (file && (file.type !== "directory" || file.mark) && (marks || !file.mark)) return true;
  }
  return false;
}

/** @param {Observation} seen @returns {string[]} everything that can come and go */
export function keysOf(seen) {
  const { unions = [], trees = {} } = seen.layers ?? {};
  return [
    ...unions.flatMap((union) => [
      unionKey(union),
      ...union.layers.map((layer) => layerKey(union, layer)),
      ...union.changes.map((change) => changeKey(union, change)),
    ]),
    ...Object.entries(trees).flatMap(([tree, { files }]) => files.map((file) => fileKey(tree, file))),
  ];
}
