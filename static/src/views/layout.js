/**
 * Where everything of the namespaces drawing stands, in px. Text is monospaced, so widths are letters times a width.
 * Pure: groups and a width in, boxes out; draw.js only puts them down.
 */

export const LINE = 22;
/** distance from outline to outline of one group */
export const RING = 6;
export const PAD = 12;
export const GAP = 12;
const CHIP_GAP = 10;
const LETTER_BOX = 20;

/** @typedef {import("./model.js").Group} Group */
/** @typedef {import("../types.js").Process} Process */
/** @typedef {import("../types.js").Namespace} Namespace */

/** @typedef {{x: number, y: number, namespace: Namespace, text: string, width: number}} ChipBox */
/** @typedef {{x: number, y: number, process: Process, name: string, numbers: string}} ProcessLine */
/**
 * @typedef {object} Box
 * @property {Group} group
 * @property {number} x @property {number} y @property {number} width @property {number} height
 * @property {ChipBox[]} chips
 * @property {ProcessLine[]} lines
 * @property {Box[]} children
 * @property {number} inset of the content from the outermost outline
 * @property {string} title @property {number} titleWidth
 */

/**
 * @param {Group} group @param {number} room the width there is, px
 * @param {{em: number, title: (group: Group) => string, numbers: (process: Process) => string, chip: (one: Namespace) => string, name: (process: Process) => string}} words
 *   em: width of one letter, px
 * @returns {Box} with x and y 0
 */
export function layout(group, room, words) {
  const rings = Math.max(1, group.added.length);
  const inset = PAD + (rings - 1) * RING;
  const inner = Math.max(120, room - 2 * inset);
  const title = words.title(group);
  const titleWidth = title.length * words.em;
  let y = inset;
  const header = placeChips(group, inner, title ? titleWidth + CHIP_GAP : 0, words);
  for (const chip of header.chips) Object.assign(chip, { x: chip.x + inset, y: chip.y + y });
  y += Math.max(header.height, title ? LINE : 0);
  const lines = group.processes.map((process, index) => ({
    x: inset,
    y: y + index * LINE,
    process,
    name: words.name(process),
    numbers: words.numbers(process),
  }));
  y += lines.length * LINE;
  const lineWidth = Math.max(0, ...lines.map((line) => (line.name.length + line.numbers.length + 3) * words.em));
  const flow = placeChildren(
    group.children.map((child) => layout(child, inner, words)),
    inner,
  );
  if (flow.boxes.length) y += GAP / 2;
  for (const box of flow.boxes) shift(box, inset, y);
  y += flow.height;
  const wanted = Math.max(header.width, titleWidth, lineWidth, flow.width) + 2 * inset;
  return {
    group,
    x: 0,
    y: 0,
    width: Math.min(room, Math.ceil(wanted)),
    height: Math.ceil(y + inset),
    chips: header.chips,
    lines,
    children: flow.boxes,
    inset,
    title,
    titleWidth,
  };
}

/** @param {Group} group @param {number} inner @param {number} start @param {{em: number, chip: (one: Namespace) => string}} words */
function placeChips(group, inner, start, words) {
  let x = start;
  let y = 0;
  let width = 0;
  const chips = group.added.map((namespace) => {
    const text = words.chip(namespace);
    const size = LETTER_BOX + 5 + text.length * words.em;
    if (x > 0 && x + size > inner) {
      x = 0;
      y += LINE;
    }
    const chip = { x, y, namespace, text, width: size };
    x += size + CHIP_GAP;
    width = Math.max(width, x - CHIP_GAP);
    return chip;
  });
  return { chips, width, height: chips.length ? y + LINE : 0 };
}

/** Side by side while they fit, then on a new row. @param {Box[]} boxes @param {number} inner */
function placeChildren(boxes, inner) {
  let x = 0;
  let y = 0;
  let row = 0;
  let width = 0;
  for (const box of boxes) {
    if (x > 0 && x + box.width > inner) {
      x = 0;
      y += row + GAP;
      row = 0;
    }
    Object.assign(box, { x, y });
    x += box.width + GAP;
    row = Math.max(row, box.height);
    width = Math.max(width, x - GAP);
  }
  return { boxes, width, height: boxes.length ? y + row : 0 };
}

/** Boxes and what is in them are placed relative to their parent: only the box moves. @param {Box} box @param {number} x @param {number} y */
function shift(box, x, y) {
  box.x += x;
  box.y += y;
}
