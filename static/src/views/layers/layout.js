/**
 * Where everything of the layers drawing stands, in px: a block a union, in it a row a path and a column a layer, the
 * topmost left as in lowerdir=a:b and br=a:b, before them what is seen through all. Pure.
 */
import { cells } from "../layout.js";

export const LINE = 22;
export const PAD = 12;
const GAP = 18;
/** of a column without words */
const SLIM = 34;
const NAME = { least: 14, most: 40 };
const COLUMN = { least: 13, most: 22 };

/** @typedef {import("./model.js").Stack} Stack */
/** @typedef {{x: number, width: number, index: number}} Column */
/**
 * @typedef {object} Block
 * @property {Stack} stack
 * @property {number} y @property {number} height
 * @property {number} top    of the first row
 * @property {number} name   width of the names' column
 * @property {Column[]} columns  those that have room
 * @property {number} hidden layers that have none
 * @property {boolean} slim  no words in the columns: they stand after the last
 * @property {number} end    of the last column
 */
/** @typedef {{em: number, cell: (stack: Stack, row: import("./model.js").Row, index: number) => string}} Words */

/** @param {Stack[]} all @param {number} room px @param {Words} words @returns {{blocks: Block[], width: number, height: number}} */
export function layout(all, room, words) {
  let y = 0;
  const blocks = all.map((stack) => {
    const block = measure(stack, room, words, y);
    y += block.height + GAP;
    return block;
  });
  return { blocks, width: room, height: Math.max(0, y - GAP) };
}

/** @param {Stack} stack @param {number} room @param {Words} words @param {number} y @returns {Block} */
function measure(stack, room, words, y) {
  const { union, rows } = stack;
  const longest = Math.max(NAME.least, ...rows.map((row) => cells(row.path) + 2));
  let name = Math.ceil(Math.min(NAME.most, longest) * words.em);
  const count = union.of_lab ? 0 : union.layers.length;
  const wanted = Array.from({ length: count }, (_, index) => {
    const texts = rows.map((row) => cells(words.cell(stack, row, index)) + 4);
    const path = cells(union.layers[index].path) + 2;
    return Math.ceil(Math.min(COLUMN.most, Math.max(COLUMN.least, path, ...texts)) * words.em);
  });
  const total = wanted.reduce((sum, width) => sum + width, 0);
  const slim = name + total > room;
  if (slim) name = Math.min(name, Math.max(NAME.least * words.em, room - SLIM * count));
  const fit = slim ? Math.max(1, Math.min(count, Math.floor((room - name) / SLIM))) : count;
  let x = name;
  const columns = wanted.slice(0, fit).map((wide, index) => {
    const column = { x, width: slim ? SLIM : wide, index };
    x += column.width;
    return column;
  });
  const head = union.of_lab ? LINE : (slim ? 2 : 3) * LINE + 4;
  const sentences = [!rows.length, stack.left, stack.cut, count > fit].filter(Boolean).length;
  const foot = union.of_lab ? 0 : sentences * LINE;
  const height = head + rows.length * LINE + foot + (union.of_lab ? 0 : PAD / 2);
  return { stack, y, height, top: y + head, name, columns, hidden: count - fit, slim, end: x };
}
