/**
 * One chart of one group, by uPlot: a line for what is used, a dashed one for the limit, a mark where a limit was written or
 * bit. The controllers differ by shape: CPU a line (and hatched where the quota stopped it), memory a filled area, processes
 * steps, I/O filled steps. uPlot draws on a canvas, so all it shows stands in words beside it too.
 */
import uPlot from "uplot";
import { colour } from "../../theme.js";
import { amount, bytes, share } from "./words.js";

/** @typedef {import("./history.js").Past} Past */
/** @typedef {import("./history.js").Mark} Mark */
/** @typedef {import("./words.js").ChartName} ChartName */

/** Seconds that are shown. */
export const WINDOW_S = 60;
/** After so many seconds without a telling nothing has changed: rates are zero. */
const QUIET_S = 2.5;
/** A limit so many times above what is used is written and not drawn: it would press the line to the ground. */
const FAR = 16;

const MIB = 1024 * 1024;

/**
 * `lines` are names of columns of the history; the first is what the chart is about.
 * @type {Record<ChartName, {lines: string[], limits: string[], rates: boolean, floor: number, word: (value: number) => string}>}
 */
const KINDS = {
  cpu: { lines: ["cpu", "stopped"], limits: ["quota"], rates: true, floor: 100, word: share },
  memory: { lines: ["memory"], limits: ["memory_limit"], rates: false, floor: 4 * MIB, word: bytes },
  pids: { lines: ["pids"], limits: ["pids_limit"], rates: false, floor: 5, word: (value) => String(value) },
  io: { lines: ["written", "read"], limits: ["write_limit", "read_limit"], rates: true, floor: MIB, word: bytes },
};

/** The colours of the theme, read once for all charts. */
export function palette() {
  const names = {
    line: "--ns-cgroup",
    ink: "--ink",
    soft: "--ink-2",
    hair: "--line-1",
    bad: "--bad",
    paper: "--paper",
  };
  return Object.fromEntries(Object.entries(names).map(([name, token]) => [name, colour(token)]));
}

export class Chart {
  /** @param {ChartName} name @param {HTMLElement} host */
  constructor(name, host) {
    this.name = name;
    this.host = host;
    /** @type {uPlot | null} */
    this.plot = null;
    this.made = "";
    this.now = 0;
    /** @type {Mark[]} */
    this.marks = [];
  }

  /**
   * @param {Past} past @param {Mark[]} marks of this chart @param {number} now on the engine's clock, in seconds
   * @param {{open: boolean, scale: number, colours: Record<string, string>, stamp: string}} look
   */
  draw(past, marks, now, look) {
    const width = Math.floor(this.host.clientWidth);
    if (width < 24) return;
    this.now = now;
    this.marks = marks.filter((mark) => mark.at > now - WINDOW_S);
    const size = { width, height: Math.round((look.open ? 112 : 40) * look.scale) };
    const data = columns(past, KINDS[this.name], now);
    const wanted = `${look.open} ${look.stamp} ${width < 170 * look.scale}`;
    if (this.plot && this.made === wanted) {
      if (this.plot.width !== size.width || this.plot.height !== size.height) this.plot.setSize(size);
      this.plot.setData(data);
      return;
    }
    this.close();
    this.made = wanted;
    this.plot = new uPlot(this.options(size, look), data, this.host);
  }

  close() {
    this.plot?.destroy();
    this.plot = null;
  }

  /** @param {{width: number, height: number}} size @param {Parameters<Chart["draw"]>[3]} look @returns {uPlot.Options} */
  options(size, { open, scale, colours }) {
    const kind = KINDS[this.name];
    const font = `${Math.round(11 * scale)}px system-ui, sans-serif`;
    const axis = { show: open, stroke: colours.soft, font, gap: 4, ticks: { show: false } };
    const values = (/** @type {uPlot} */ _, /** @type {number[]} */ splits) => splits.map((value) => kind.word(value));
    return {
      ...size,
      padding: [open ? 16 * scale : 4, 6, open ? 0 : 2, open ? 0 : 2],
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: false, range: () => [this.now - WINDOW_S, this.now] },
        y: { range: (plot) => [0, ceiling(plot, kind)] },
      },
      axes: [
        {
          ...axis,
          size: 16 * scale,
          grid: { show: false },
          splits: () => (size.width < 170 * scale ? [30] : [40, 20]).map((ago) => this.now - ago),
          values: (_, splits) => splits.map((at) => `${Math.round(at - this.now)} s`),
        },
        {
          ...axis,
          size: 58 * scale,
          grid: { stroke: colours.hair, width: 1 },
          splits: (_, __, ___, top) => [0, 1, 2].map((times) => times * tick(top / 2, kind.word === bytes)),
          values,
        },
      ],
      series: [{}, ...lines(this.name, kind, colours)],
      hooks: { draw: [(plot) => drawMarks(plot, this.marks, { open, scale, colours, font })] },
    };
  }
}

/** @param {ChartName} name @param {(typeof KINDS)[ChartName]} kind @param {Record<string, string>} colours @returns {uPlot.Series[]} */
function lines(name, kind, colours) {
  const steps = (/** @type {1 | -1} */ align) => uPlot.paths.stepped?.({ align });
  const line = { stroke: colours.line, width: 1.75, points: { show: false } };
  const soft = `color-mix(in srgb, ${colours.line} 22%, transparent)`;
  /** @type {Record<string, uPlot.Series>} */
  const looks = {
    cpu: line,
    stopped: { ...line, width: 0, fill: hatch(colours.bad), paths: steps(-1) },
    memory: { ...line, fill: soft },
    pids: { ...line, paths: steps(1) },
    written: { ...line, fill: soft, paths: steps(-1) },
    read: { ...line, dash: [2, 3], paths: steps(-1) },
  };
  const limit = { stroke: colours.ink, width: 1.25, dash: [6, 4], points: { show: false }, paths: steps(1) };
  // What is behind comes first.
  const order = name === "cpu" ? [...kind.lines].reverse() : kind.lines;
  return [...order.map((one) => looks[one]), ...kind.limits.map(() => limit)];
}

/** @param {Past} past @param {(typeof KINDS)[ChartName]} kind @param {number} now @returns {uPlot.AlignedData} */
function columns({ series }, kind, now) {
  const all = /** @type {Record<string, (number | null)[]>} */ (/** @type {unknown} */ (series));
  const last = series.at.at(-1) ?? now;
  const quiet = now - last > QUIET_S;
  const at = [...series.at, ...(quiet ? [last + 0.01] : []), Math.max(now, last + 0.02)];
  const level = (/** @type {string} */ name) => {
    const end = all[name].at(-1) ?? null;
    return [...all[name], ...(quiet ? [end] : []), end];
  };
  const rate = (/** @type {string} */ name) => {
    const end = quiet && all[name].at(-1) !== null ? 0 : null;
    return [...all[name], ...(quiet ? [end] : []), end];
  };
  const order = kind.lines.includes("stopped") ? [...kind.lines].reverse() : kind.lines;
  return [at, ...order.map(kind.rates ? rate : level), ...kind.limits.map(level)];
}

/** @param {uPlot} plot @param {(typeof KINDS)[ChartName]} kind @returns {number} the top of the chart */
function ceiling(plot, kind) {
  const from = plot.data[0].findIndex((at) => at >= (plot.data[0].at(-1) ?? 0) - WINDOW_S);
  const most = (/** @type {number} */ first, /** @type {number} */ count) =>
    Math.max(0, ...plot.data.slice(first, first + count).flatMap((column) => [...column].slice(from).map(Number)));
  const used = Math.max(most(1, kind.lines.length), kind.floor);
  const limit = most(1 + kind.lines.length, kind.limits.length);
  const top = limit <= used * FAR ? Math.max(used, limit) : used;
  return top > kind.floor ? top * 1.08 : kind.floor;
}

/** The largest round number not above a value. @param {number} value @param {boolean} binary @returns {number} */
function tick(value, binary) {
  if (binary) return 2 ** Math.floor(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return (Math.floor(value / power) >= 5 ? 5 : Math.floor(value / power) >= 2 ? 2 : 1) * power;
}

/** @param {string} stroke @returns {CanvasPattern | string} readable without colour */
function hatch(stroke) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  if (!pen) return stroke;
  pen.strokeStyle = stroke;
  pen.lineWidth = 1;
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
  }
  pen.stroke();
  return pen.createPattern(tile, "repeat") ?? stroke;
}

/**
 * A limit that was written: a line across and its amount on top. One that bit: a cross.
 * @param {uPlot} plot @param {Mark[]} marks
 * @param {{open: boolean, scale: number, colours: Record<string, string>, font: string}} look
 */
function drawMarks(plot, marks, { open, scale, colours, font }) {
  const { ctx: pen } = plot;
  const ratio = devicePixelRatio * scale;
  const { top, height, left, width } = plot.bbox;
  let taken = 0;
  pen.save();
  pen.font = font.replace(/^\d+/, String(Math.round(11 * ratio)));
  pen.textBaseline = "middle";
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < left || x > left + width) continue;
    pen.strokeStyle = pen.fillStyle = mark.limit ? colours.ink : colours.bad;
    pen.lineWidth = ratio;
    pen.beginPath();
    if (mark.limit) flag(pen, x, top, height, 4 * ratio);
    else cross(pen, x, top + 5 * ratio, 3.5 * ratio);
    if (!open || !mark.limit) continue;
    const text = amount(mark.what, mark.value);
    const half = pen.measureText(text).width / 2 + 3 * ratio;
    const middle = Math.min(Math.max(x, left + half), left + width - half);
    if (middle - half < taken) continue; // it stands in the list below
    pen.textAlign = "center";
    pen.fillText(text, middle, top - 8 * ratio);
    taken = middle + half;
  }
  pen.restore();
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} top @param {number} height @param {number} size */
function flag(pen, x, top, height, size) {
  pen.moveTo(x, top);
  pen.lineTo(x, top + height);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(x - size, top);
  pen.lineTo(x + size, top);
  pen.lineTo(x, top + size);
  pen.fill();
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} size */
function cross(pen, x, y, size) {
  pen.lineWidth *= 1.75;
  pen.moveTo(x - size, y - size);
  pen.lineTo(x + size, y + size);
  pen.moveTo(x + size, y - size);
  pen.lineTo(x - size, y + size);
  pen.stroke();
}
