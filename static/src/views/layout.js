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
const DOT = 14;
const PROCESS_GAP = 22;

/** @typedef {import("./model.js").Group} Group */
/** @typedef {import("../types.js").Process} Process */
/** @typedef {import("../types.js").Namespace} Namespace */

/** @typedef {{x: number, y: number, namespace: Namespace, text: string, width: number}} ChipBox */
/** @typedef {{x: number, y: number, width: number, process: Process, name: string, numbers: string}} ProcessSpot */
/**
 * @typedef {object} Box
 * @property {Group} group
 * @property {number} x @property {number} y @property {number} width @property {number} height
 * @property {ChipBox[]} chips
 * @property {ProcessSpot[]} spots
 * @property {Box[]} children
 * @property {number} inset of the content from the outermost outline
 * @property {string} title @property {number} titleWidth
 */

/** @param {string} text @param {number} most cells; eight are always given */
function shorten(text, most) {
  const limit = Math.max(8, most);
  if (cells(text) <= limit) return text;
  let cut = text;
  while (cells(cut) > limit - 1) cut = cut.slice(0, -1);
  return `${cut}…`;
}

/** Letters as a terminal counts them: a Japanese one is two. @param {string} text */
export function cells(text) {
  let count = 0;
  for (const letter of text)
    count += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u.test(
      letter,
    )
      ? 2
      : 1;
  return count;
}

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
  const titleWidth = cells(title) * words.em;
  let y = inset;
  const header = placeChips(group, inner, title ? titleWidth + CHIP_GAP : 0, words);
  for (const chip of header.chips) Object.assign(chip, { x: chip.x + inset, y: chip.y + y });
  y += Math.max(header.height, title ? LINE : 0);
  const people = placeProcesses(group, inner, words);
  for (const spot of people.spots) Object.assign(spot, { x: spot.x + inset, y: spot.y + y });
  y += people.height;
  const flow = placeChildren(
    group.children.map((child) => layout(child, inner, words)),
    inner,
  );
  if (flow.boxes.length) y += GAP / 2;
  for (const box of flow.boxes) shift(box, inset, y);
  y += flow.height;
  const wanted = Math.max(header.width, titleWidth, people.width, flow.width) + 2 * inset;
  return {
    group,
    x: 0,
    y: 0,
    width: Math.min(room, Math.ceil(wanted)),
    height: Math.ceil(y + inset),
    chips: header.chips,
    spots: people.spots,
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
  const chips = group.named.map((namespace) => {
    const text = words.chip(namespace);
    const size = LETTER_BOX + 5 + cells(text) * words.em;
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

/** Side by side while they fit, as words are. @param {Group} group @param {number} inner @param {{em: number, name: (process: Process) => string, numbers: (process: Process) => string}} words */
function placeProcesses(group, inner, words) {
  let x = 0;
  let y = 0;
  let width = 0;
  const spots = group.processes.map((process) => {
    const numbers = words.numbers(process);
    const name = shorten(words.name(process), Math.floor((inner - DOT - 12) / words.em) - cells(numbers));
    const size = DOT + cells(name + numbers) * words.em + 10;
    if (x > 0 && x + size > inner) {
      x = 0;
      y += LINE;
    }
    const spot = { x, y, width: Math.min(size, inner), process, name, numbers };
    x += size + PROCESS_GAP;
    width = Math.max(width, x - PROCESS_GAP);
    return spot;
  });
  return { spots, width, height: spots.length ? y + LINE : 0 };
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
