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
/** cells a command keeps when room is short */
const SHORT = 8;

/** @typedef {import("./model.js").Group} Group */
/** @typedef {import("../types.js").Process} Process */
/** @typedef {import("../types.js").Namespace} Namespace */

/** @typedef {{x: number, y: number, namespace: Namespace, text: string, width: number}} ChipBox */
/** @typedef {{x: number, y: number, width: number, process: Process, name: string, numbers: string, here: boolean}} ProcessSpot */
/**
 * What is written where.
 * @typedef {object} Words
 * @property {number} em                     width of one letter, px
 * @property {(group: Group) => string} title
 * @property {(group: Group) => string} note  why a group without processes is there
 * @property {(one: Namespace) => string} chip
 * @property {(process: Process) => string} name
 * @property {(process: Process) => string} numbers
 * @property {(process: Process) => string} shortNumbers  for where the long ones have no room
 * @property {(process: Process) => boolean} here  the keys of a terminal go to it
 */
/**
 * @typedef {object} Box
 * @property {Group} group
 * @property {number} x @property {number} y @property {number} width @property {number} height
 * @property {ChipBox[]} chips
 * @property {ProcessSpot[]} spots
 * @property {Box[]} children
 * @property {number} inset of the content from the outermost outline
 * @property {string} title @property {string} note
 */

/** @param {string} text @param {number} most cells; a few are always given */
export function shorten(text, most) {
  const limit = Math.max(SHORT, most);
  if (cells(text) <= limit) return text;
  let cut = text;
  while (cells(cut) > limit - 1) cut = cut.slice(0, -1);
  return `${cut}…`;
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/;

/** Letters as a terminal counts them: a Japanese one is two. @param {string} text */
export function cells(text) {
  let count = 0;
  for (const letter of text) count += WIDE.test(letter) ? 2 : 1;
  return count;
}

/**
 * @param {Group} group @param {number} room the width there is, px
 * @param {Words} words
 * @returns {Box} with x and y 0
 */
export function layout(group, room, words) {
  const inset = PAD + Math.max(0, group.added.length - 1) * RING;
  const inner = Math.max(120, room - 2 * inset);
  const title = words.title(group);
  const note = words.note(group);
  const titleWidth = cells(title) * words.em;
  let y = inset;
  const header = placeChips(group, inner, title ? titleWidth + CHIP_GAP : 0, words);
  move(header.chips, inset, y);
  y += Math.max(header.height, title ? LINE : 0) + (note ? LINE : 0);
  const people = placeProcesses(group, inner, words);
  move(people.spots, inset, y);
  y += people.height;
  const boxes = group.children.map((child) => layout(child, inner, words));
  const flow = placeChildren(boxes, inner);
  if (boxes.length) y += GAP / 2;
  move(boxes, inset, y); // what is in a box is placed relative to it
  y += flow.height;
  const wanted = Math.max(header.width, titleWidth, cells(note) * words.em, people.width, flow.width) + 2 * inset;
  const width = Math.min(room, Math.ceil(wanted));
  const height = Math.ceil(y + inset);
  return {
    group,
    x: 0,
    y: 0,
    width,
    height,
    chips: header.chips,
    spots: people.spots,
    children: boxes,
    inset,
    title,
    note,
  };
}

/** @param {{x: number, y: number}[]} things @param {number} x @param {number} y */
function move(things, x, y) {
  for (const thing of things) {
    thing.x += x;
    thing.y += y;
  }
}

/** @param {Group} group @param {number} inner @param {number} start @param {Words} words */
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

/** Side by side while they fit, as words are. @param {Group} group @param {number} inner @param {Words} words */
function placeProcesses(group, inner, words) {
  let x = 0;
  let y = 0;
  let width = 0;
  const spots = group.processes.map((process) => {
    const room = Math.floor((inner - DOT - 12) / words.em);
    const long = words.numbers(process);
    const numbers = room - cells(long) < SHORT ? words.shortNumbers(process) : long;
    const name = shorten(words.name(process), room - cells(numbers));
    const size = DOT + cells(name + numbers) * words.em + 10;
    if (x > 0 && x + size > inner) {
      x = 0;
      y += LINE;
    }
    const spot = { x, y, width: Math.min(size, inner), process, name, numbers, here: words.here(process) };
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
  return { width, height: boxes.length ? y + row : 0 };
}
