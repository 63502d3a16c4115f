/**
 * Puts the layers down as SVG: bands for the layers, marks for what they have of each path, an arrow for a copy-up; a tree
 * of unions and paths for keys and screen readers. And the same as a table. Paths are a learner's: text, never markup.
 */
import { h, plain, svg } from "../../dom.js";
import { t } from "../../strings.js";
import { cells, shorten } from "../layout.js";
import { viewTable } from "../parts.js";
import { LINE } from "./layout.js";
import { layerKey } from "./model.js";
import { cellText, headOf, kindOf, roleOf, rowLabel, tail } from "./words.js";

/** @typedef {import("../live.js").Fresh} Fresh */
/** @typedef {import("./layout.js").Block} Block */
/** @typedef {import("./layout.js").Column} Column */
/** @typedef {import("./model.js").Row} Row */
/** @typedef {import("./model.js").Stack} Stack */
/** @typedef {import("../../types.js").Observation} Observation */

export const EM = 7.83;
const MARK = 11;

/** The pattern of what is only read, and the head of an arrow. */
export function patterns() {
  const hatch = svg("pattern", {
    id: "hatch",
    width: 6,
    height: 6,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  });
  hatch.append(svg("path", { d: "M0 0V6", class: "hatch" }));
  return svg("defs", {}, hatch);
}

/** The word in a cell: what the layer did to the path, or how large what it has is. @param {Stack} _stack @param {Row} row @param {number} index */
export function wordIn(_stack, row, index) {
  const cell = row.cells[index];
  if (!cell) return "";
  return row.kind && row.layer === index ? kindOf(row) : cellText(cell, false);
}

/** In a union that is new itself nothing is told as new. @param {Stack} stack @param {Row} row @param {Fresh} fresh */
function newsOf(stack, row, fresh) {
  if (fresh(stack.key)) return "";
  return fresh(row.key) || row.cells.map((cell) => (cell ? fresh(cell.key) : "")).find(Boolean) || "";
}

/** @param {Block} block @param {number} room @param {Observation} seen @param {Fresh} fresh @returns {SVGElement} */
export function drawBlock(block, room, seen, fresh) {
  const { stack, y } = block;
  const { union, rows } = stack;
  const news = fresh(stack.key);
  const head = headOf(union, seen);
  const item = svg("g", {
    class: `group${news ? " fresh" : ""}`,
    role: "treeitem",
    tabindex: -1,
    "aria-level": 1,
    "aria-expanded": rows.length ? "true" : null,
    "aria-label": [t("views.union", { name: head, layers: union.layers.length, count: rows.length }), news]
      .filter(Boolean)
      .join(", "),
    "data-key": stack.key,
  });
  const most = Math.floor((room - 30) / EM) - (news ? cells(news) + 3 : 0);
  item.append(
    svg("rect", { class: "focus", x: -3, y: y - 2, width: room + 6, height: LINE, rx: 3 }),
    svg("rect", { class: "ground letter-box ns-mnt", x: 0.5, y: y + 1.5, width: 17, height: 17, rx: 2 }),
    svg("text", { class: "letter ns-mnt", x: 9, y: y + 14, "text-anchor": "middle", "aria-hidden": "true" }, "M"),
    svg(
      "text",
      { x: 23, y: y + 15, class: union.of_lab ? "numbers" : null, "aria-hidden": "true" },
      shorten(headOf(union, seen, most), most),
    ),
  );
  if (news)
    item.append(
      svg("text", { class: "news", x: room - 4, y: y + 15, "text-anchor": "end", "aria-hidden": "true" }, news),
    );
  if (!union.of_lab) item.append(...bands(block, fresh));
  const inside = svg("g", { role: "group" });
  rows.forEach((row, index) => {
    inside.append(drawRow(block, row, block.top + index * LINE, room, fresh));
  });
  if (rows.length) item.append(inside);
  footOf(stack, block.hidden).forEach((words, index) => {
    item.append(svg("text", { class: "title", x: 4, y: block.top + (rows.length + index) * LINE + 16 }, words));
  });
  return item;
}

/** What is not shown, a sentence each; layout.js leaves a line for each. @param {Stack} stack @param {number} hidden layers */
function footOf({ union, rows, left, cut }, hidden) {
  if (union.of_lab) return [];
  const parts = [
    !rows.length ? t("views.no_files") : "",
    left ? t("views.rows_left", { count: left }) : "",
    cut ? t("views.rows_cut") : "",
    hidden ? t("views.layers_left", { count: hidden }) : "",
  ];
  return parts.filter(Boolean);
}

/** Behind the rows: a layer each, hatched where it is only read. @param {Block} block @param {Fresh} fresh @returns {SVGElement[]} */
function bands(block, fresh) {
  const { stack, y, top, name, columns, slim } = block;
  const { union, rows } = stack;
  const height = Math.max(1, rows.length) * LINE;
  const parts = [
    svg("text", { class: "title", x: 4, y: y + LINE + 15, "aria-hidden": "true" }, t("views.merged")),
    svg("rect", { class: "band merged", x: 0.5, y: top - 2, width: name - 8, height: height + 4 }),
  ];
  for (const { x, width, index } of columns) {
    const layer = union.layers[index];
    const writable = layer.mode === "rw" && !(union.readonly && union.driver === "overlay");
    const news = !fresh(stack.key) && fresh(layerKey(union, layer)) ? " new" : "";
    parts.push(
      svg("rect", {
        class: `band ${writable ? "upper ns-mnt" : "lower"}`,
        x: x + 0.5,
        y: top - 2,
        width: width - 5,
        height: height + 4,
      }),
    );
    if (!writable)
      parts.push(svg("rect", { x: x + 1, y: top - 1, width: width - 6, height: height + 2, fill: "url(#hatch)" }));
    const role = slim ? String(index) : roleOf(union, index);
    parts.push(svg("text", { class: `title${news}`, x: x + 2, y: y + LINE + 15, "aria-hidden": "true" }, role));
    if (slim) continue;
    const most = Math.floor((width - 8) / EM);
    parts.push(
      svg(
        "text",
        { class: `inode${news}`, x: x + 2, y: y + 2 * LINE + 13, "aria-hidden": "true" },
        tail(layer.path, most),
      ),
    );
  }
  return parts;
}

/** @param {Block} block @param {Row} row @param {number} y @param {number} room @param {Fresh} fresh @returns {SVGElement} */
function drawRow(block, row, y, room, fresh) {
  const { stack, name, columns, slim } = block;
  const news = newsOf(stack, row, fresh);
  const item = svg("g", {
    class: `process item${news ? " fresh" : ""}`,
    role: "treeitem",
    tabindex: -1,
    "aria-level": 2,
    "aria-label": [rowLabel(stack, row), news].filter(Boolean).join(", "),
    "data-key": row.key,
  });
  const text = tail(row.type === "directory" ? `${row.path}/` : row.path, Math.floor((name - 16) / EM));
  item.append(
    svg("rect", { class: "focus", x: 0, y: y + 1, width: Math.max(name, room - 4), height: LINE - 2, rx: 2 }),
  );
  item.append(
    svg("text", { class: row.visible ? "name" : "name struck", x: 5, y: y + 15, "aria-hidden": "true" }, text),
  );
  if (!row.visible) item.append(svg("path", { class: "strike", d: `M3 ${y + 11}H${7 + cells(text) * EM}` }));
  for (const column of columns) item.append(...drawCell(stack, row, column, y, slim));
  const [to, from] = [row.layer, row.below].map((index) => columns.find((column) => column.index === index));
  if (row.kind === "changed" && to && from)
    item.append(...arrow(to, from, y, slim ? 0 : cells(wordIn(stack, row, to.index)) * EM + 6));
  const after = [
    slim ? svg("tspan", { class: "kind" }, kindOf(row)) : null,
    news ? svg("tspan", { class: "news", dx: 8 }, news) : null,
  ];
  item.append(svg("text", { x: block.end + 2, y: y + 15, "aria-hidden": "true" }, ...after));
  return item;
}

/** @param {Stack} stack @param {Row} row @param {Column} column @param {number} y @param {boolean} slim @returns {SVGElement[]} */
function drawCell(stack, row, { x, index }, y, slim) {
  const cell = row.cells[index];
  if (!cell) return [];
  const box = { x: x + 8.5, y: y + 5.5, width: MARK, height: MARK };
  const writable = stack.union.layers[index].mode === "rw";
  const parts = [svg("rect", { ...box, class: `has ${cell.state} ${writable ? "ns-mnt" : ""}` })];
  if (cell.state === "whiteout")
    parts.push(svg("path", { class: "strike ns-mnt", d: `M${x + 5} ${y + 20}L${x + 23} ${y + 2}` }));
  if (cell.state === "opaque") parts.push(svg("path", { class: "wall ns-mnt", d: `M${x + 23} ${y + 3}V${y + 19}` }));
  if (!slim) {
    const own = row.kind && row.layer === index;
    const at = { x: x + 28, y: y + 15, "aria-hidden": "true" };
    parts.push(svg("text", { ...at, class: own ? "kind" : "numbers" }, wordIn(stack, row, index)));
  }
  return parts;
}

/** From what was copied to its copy. @param {Column} to @param {Column} from @param {number} y @param {number} word its width */
function arrow(to, from, y, word) {
  const [start, end] = [from.x + 6, to.x + 24 + word];
  const middle = y + 11;
  return [
    svg("path", { class: "copy-up ns-mnt", d: `M${start} ${middle}H${end + 2}` }),
    svg("path", { class: "copy-head ns-mnt", d: `M${end} ${middle}l6 -4v8z` }),
  ];
}

/** One row a path. @param {Stack[]} all @param {Observation} seen @param {Fresh} fresh */
export function layersTable(all, seen, fresh) {
  const body = all.flatMap((stack) => {
    const { union, rows } = stack;
    const head = h(
      "tr",
      { class: fresh(stack.key) ? "fresh" : null },
      h("th", { scope: "rowgroup", colspan: 4 }, headOf(union, seen)),
    );
    const lines = rows.map((row) => {
      const news = newsOf(stack, row, fresh);
      return h(
        "tr",
        { class: news ? "fresh" : null },
        h("td", { class: "number path" }, plain(row.path, 120)),
        h("td", {}, [kindOf(row) || t(row.visible ? "views.seen" : "views.hidden"), news].filter(Boolean).join(" · ")),
        h("td", { class: "path" }, layerName(union, row.layer)),
        h("td", { class: "path" }, row.below === null ? "—" : layerName(union, row.below)),
      );
    });
    const foot = footOf(stack, 0).join(" ");
    return [head, ...lines, foot ? h("tr", {}, h("td", { colspan: 4 }, foot)) : null];
  });
  const heads = [t("views.col_path"), t("views.col_what"), t("views.col_layer"), t("views.col_below")];
  return viewTable("", h("caption", { class: "unseen" }, t("views.layers")), heads, body);
}

/** @param {import("../../types.js").Union} union @param {number} index */
function layerName(union, index) {
  const layer = union.layers[index];
  return layer ? `${roleOf(union, index)} ${tail(layer.path, 40)}` : "—";
}
