/**
 * Where everything of the network drawing stands, in px. A box a network namespace with a line a link, boxes in columns, and
 * cables in the gutters between them, each in a channel of its own. Too wide a drawing becomes one column with the cables
 * at its side. Pure: a graph and a width in, places out; draw.js puts them down.
 */
import { cells, shorten } from "../layout.js";

export const LINE = 22;
export const PAD = 12;
const GAP = 14;
const CHANNEL = 11;
const GUTTER = 20;
/** of a port below its bridge */
export const INDENT = 18;
const DOT = 16;

/** @typedef {import("./model.js").Graph} Graph */
/** @typedef {import("./model.js").Net} Net */
/** @typedef {import("./model.js").Node} Node */
/** @typedef {import("./model.js").Cable} Cable */
/** @typedef {{em: number, title: (net: Net) => string, line: (node: Node) => string}} Words */
/** @typedef {{node: Node, x: number, y: number, width: number}} Row  y of its middle, all on the page of the drawing */
/** @typedef {{net: Net, x: number, y: number, width: number, height: number, title: string, rows: Row[]}} Box */
/** @typedef {{cable: Cable, points: [number, number][]}} Wire  from end to end, at right angles */
/** @typedef {{boxes: Box[], wires: Wire[], stubs: {key: string, x: number, y: number}[], width: number, height: number}} Layout */

/** @param {Graph} graph @param {number} room px @param {Words} words @returns {Layout} */
export function layout(graph, room, words) {
  const wide = arrange(graph, words, (net) => net.column);
  if (wide.width <= room) return wide;
  const most = room - 2 * PAD - 2 * GUTTER - CHANNEL * graph.cables.length;
  return arrange(graph, { ...words, title: (net) => shorten(words.title(net), (most - 48) / words.em) }, () => 0);
}

/** @param {Graph} graph @param {Words} words @param {(net: Net) => number} columnOf @returns {Layout} */
function arrange(graph, words, columnOf) {
  const count = Math.max(0, ...graph.nets.map(columnOf)) + 1;
  /** @type {Map<string, {row: Row, box: Box, column: number}>} */
  const spots = new Map();
  const boxes = graph.nets.map((net) => measure(net, words));
  const columns = Array.from({ length: count }, (_, column) => boxes.filter((box) => columnOf(box.net) === column));
  let x = PAD * 2;
  let height = 0;
  /** where the gutter right of each column begins @type {number[]} */
  const gutters = [];
  for (const [column, members] of columns.entries()) {
    const width = Math.max(0, ...members.map((box) => box.width));
    let y = 0;
    for (const box of members) {
      put(box, x, y, width);
      for (const row of box.rows) spots.set(row.node.key, { row, box, column });
      y += box.height + GAP;
    }
    height = Math.max(height, y - GAP);
    gutters.push(x + width);
    x += width + gutter(graph, column, columnOf);
  }
  const wires = [...gutters.keys()].flatMap((column) => wire(graph.cables, spots, column, gutters[column]));
  const stubs = [...spots.values()]
    .filter(({ row }) => row.node.outside)
    .map(({ row, box }) => ({ key: row.node.key, x: box.x, y: row.y }));
  return { boxes, wires, stubs, width: x, height };
}

/** @param {Net} net @param {Words} words @returns {Box} with x and y 0 */
function measure(net, words) {
  const title = words.title(net);
  const rows = net.nodes.map((node, index) => {
    const indent = node.port ? INDENT : 0;
    const width = DOT + cells(words.line(node)) * words.em;
    return { node, x: PAD + indent, y: PAD + LINE * (index + 1.5), width };
  });
  const wanted = Math.max(23 + cells(title) * words.em, ...rows.map((row) => row.x - PAD + row.width));
  const height = 2 * PAD + LINE * (rows.length + 1);
  return { net, x: 0, y: 0, width: Math.ceil(wanted) + 2 * PAD, height, title, rows };
}

/** @param {Box} box @param {number} x @param {number} y @param {number} width of its column */
function put(box, x, y, width) {
  Object.assign(box, { x, y, width });
  for (const row of box.rows) {
    row.x += x;
    row.y += y;
  }
}

/**
 * How wide the gutter right of a column is: room for a channel a cable.
 * @param {Graph} graph @param {number} column @param {(net: Net) => number} columnOf
 */
function gutter({ nets, cables }, column, columnOf) {
  const of = new Map(nets.flatMap((net) => net.nodes.map((node) => [node.key, columnOf(net)])));
  const count = cables.filter(({ ends }) => Math.min(...ends.map((end) => of.get(end) ?? 0)) === column).length;
  const last = !nets.some((net) => columnOf(net) > column);
  return last && !count ? PAD : GUTTER * 2 + CHANNEL * Math.max(0, count - 1);
}

/**
 * The cables that begin in a column: into the next one, or back into the same. Those that go down take channels from the
 * right as they begin from above, those that go up the other way, so that they cross as little as can be.
 * @param {Cable[]} cables @param {Map<string, {row: Row, box: Box, column: number}>} spots @param {number} column
 * @param {number} start x of the gutter @returns {Wire[]}
 */
function wire(cables, spots, column, start) {
  const ends = cables.flatMap((cable) => {
    const [a, b] = cable.ends.map((end) => spots.get(end)).sort((one, two) => order(one) - order(two));
    return a && b && a.column === column ? [{ cable, a, b }] : [];
  });
  const down = ends.filter(({ a, b }) => b.row.y >= a.row.y).sort((one, two) => two.a.row.y - one.a.row.y);
  const up = ends.filter(({ a, b }) => b.row.y < a.row.y).sort((one, two) => one.a.row.y - two.a.row.y);
  return [...up, ...down].map(({ cable, a, b }, index) => {
    const x = start + GUTTER + index * CHANNEL;
    const right = a.box.x + a.box.width;
    const far = b.column === column ? b.box.x + b.box.width : b.box.x;
    return {
      cable,
      points: [
        [right, a.row.y],
        [x, a.row.y],
        [x, b.row.y],
        [far, b.row.y],
      ],
    };
  });
}

/** @param {{column: number, row: Row} | undefined} spot */
function order(spot) {
  return (spot?.column ?? 0) * 1e6 + (spot?.row.y ?? 0);
}
