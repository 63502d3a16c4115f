/**
 * Which terminals are shown and where, as a tree: a leaf is a terminal, a fork divides its box beside or one below the other.
 * Pure: trees in, trees and boxes in percent out; deck.js puts frames and dividers there.
 */

/** @typedef {{name: string}} Leaf */
/** @typedef {{axis: "x" | "y", share: number, parts: [Tree, Tree]}} Fork share: percent of the first part */
/** @typedef {Leaf | Fork} Tree */
/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** More would leave none of them enough columns. */
export const SHOWN_MOST = 4;
export const LEAST = 15;

/** @param {string} name @returns {Leaf} */
export const leaf = (name) => ({ name });

/** The terminals shown, in reading order. @param {Tree} tree @returns {string[]} */
export function shown(tree) {
  return "name" in tree ? [tree.name] : tree.parts.flatMap(shown);
}

/** Divides the box of a terminal: the new one to the right of it (x) or below (y). @param {Tree} tree @param {string} at @param {"x" | "y"} axis @param {string} name @returns {Tree} */
export function split(tree, at, axis, name) {
  if ("name" in tree) return tree.name === at ? { axis, share: 50, parts: [tree, leaf(name)] } : tree;
  const [first, second] = tree.parts;
  return { ...tree, parts: [split(first, at, axis, name), split(second, at, axis, name)] };
}

/** Another terminal in the place of one. @param {Tree} tree @param {string} from @param {string} to @returns {Tree} */
export function exchange(tree, from, to) {
  if ("name" in tree) return tree.name === from ? leaf(to) : tree;
  const [first, second] = tree.parts;
  return { ...tree, parts: [exchange(first, from, to), exchange(second, from, to)] };
}

/** Without the terminals that are not wanted; their room goes to what stood beside. @param {Tree} tree @param {(name: string) => boolean} wanted @returns {Tree | null} */
export function only(tree, wanted) {
  if ("name" in tree) return wanted(tree.name) ? tree : null;
  const [first, second] = tree.parts.map((part) => only(part, wanted));
  if (first && second) return { ...tree, parts: [first, second] };
  return first ?? second ?? null;
}

/** The divider of a fork moves. @param {Tree} tree @param {string} path of the fork, as in `places` @param {number} share @returns {Tree} */
export function move(tree, path, share) {
  if ("name" in tree) return tree;
  if (path === "") return { ...tree, share };
  const [first, second] = tree.parts;
  const rest = path.slice(1);
  return {
    ...tree,
    parts: path[0] === "0" ? [move(first, rest, share), second] : [first, move(second, rest, share)],
  };
}

/**
 * Where everything stands, in percent of the whole.
 * @param {Tree} tree @param {Box} [box] @param {string} [path] which part at each fork, as in "01"
 * @returns {{frames: Map<string, Box>, forks: {path: string, axis: "x" | "y", share: number, box: Box}[]}}
 */
export function places(tree, box = { x: 0, y: 0, width: 100, height: 100 }, path = "") {
  if ("name" in tree) return { frames: new Map([[tree.name, box]]), forks: [] };
  const { axis, share, parts } = tree;
  const along = axis === "x" ? "width" : "height";
  const length = (box[along] * share) / 100;
  const first = places(parts[0], { ...box, [along]: length }, `${path}0`);
  const second = places(parts[1], { ...box, [along]: box[along] - length, [axis]: box[axis] + length }, `${path}1`);
  return {
    frames: new Map([...first.frames, ...second.frames]),
    forks: [{ path, axis, share, box }, ...first.forks, ...second.forks],
  };
}

/** What a browser kept, if it is a tree. @param {unknown} value @param {number} [depth] @returns {Tree | null} */
export function sound(value, depth = 0) {
  if (typeof value !== "object" || value === null || depth > SHOWN_MOST) return null;
  const { name, axis, share, parts } = /** @type {Record<string, any>} */ (value);
  if (typeof name === "string") return leaf(name);
  if ((axis !== "x" && axis !== "y") || typeof share !== "number" || !Array.isArray(parts)) return null;
  const [first, second] = parts.map((part) => sound(part, depth + 1));
  if (!first || !second) return null;
  return { axis, share: Math.min(100 - LEAST, Math.max(LEAST, share)), parts: [first, second] };
}
