/**
 * Puts the network's layout down as SVG: a tree of network namespaces and their links for keys and screen readers, cables
 * beneath; and the same as a table. Names and addresses come from a learner's kernel calls: text, never markup.
 */
import { h, plain, svg } from "../../dom.js";
import { KINDS } from "../../kinds.js";
import { t } from "../../strings.js";
import { cells } from "../layout.js";
import { viewTable } from "../parts.js";
import { INDENT, LINE, PAD } from "./layout.js";
import { cableEnd, parts, titleOf } from "./words.js";

/** @typedef {import("../live.js").Fresh} Fresh */
/** @typedef {import("./layout.js").Box} Box */
/** @typedef {import("./layout.js").Row} Row */
/** @typedef {import("./words.js").Names} Names */

/** @param {import("./layout.js").Layout} places @param {Names} names @param {Fresh} fresh @returns {SVGElement[]} */
export function drawNetwork({ boxes, wires, stubs }, names, fresh) {
  const cables = wires.map(({ cable, points }) => {
    const state = `${cable.up ? "" : " down"}${fresh(cable.key) ? " fresh" : ""}`;
    return svg("path", { class: `cable${state}`, d: rounded(points), "data-ends": cable.ends.join(" ") });
  });
  const out = stubs.map(({ key, x, y }) => svg("path", { class: "cable", d: `M${x} ${y}H0`, "data-ends": key }));
  const plugs = [
    ...wires.flatMap(({ points }) => [points[0], points.at(-1) ?? points[0]]),
    ...stubs.flatMap(({ x, y }) => [
      [x, y],
      [0, y],
    ]),
  ].map(([x, y]) => svg("rect", { class: "plug", x: x - 3.5, y: y - 3.5, width: 7, height: 7 }));
  return [...out, ...cables, ...boxes.map((box) => netBox(box, names, fresh)), ...plugs];
}

/** @param {[number, number][]} points four, at right angles @returns {string} a path with small round corners */
function rounded([a, b, c, d]) {
  const r = Math.min(5, Math.abs(b[1] - c[1]) / 2, Math.abs(a[0] - b[0]), Math.abs(c[0] - d[0]));
  if (r < 1) return `M${a[0]} ${a[1]}H${b[0]}V${c[1]}H${d[0]}`;
  const way = Math.sign(c[1] - b[1]);
  const turn = Math.sign(d[0] - c[0]);
  return (
    `M${a[0]} ${a[1]}H${b[0] - r}Q${b[0]} ${b[1]} ${b[0]} ${b[1] + way * r}` +
    `V${c[1] - way * r}Q${c[0]} ${c[1]} ${c[0] + turn * r} ${c[1]}H${d[0]}`
  );
}

/** @param {Box} box @param {Names} names @param {Fresh} fresh */
function netBox(box, names, fresh) {
  const { net, x, y, width, height } = box;
  const news = fresh(net.key);
  const mark = KINDS.net;
  const item = svg("g", {
    class: `group${news ? " fresh" : ""}`,
    role: "treeitem",
    tabindex: -1,
    "aria-level": 1,
    "aria-expanded": box.rows.length ? "true" : null,
    "aria-label": [t("views.net_box", { name: box.title, count: box.rows.length }), news].filter(Boolean).join(", "),
    "data-key": net.key,
  });
  const frame = { x: x + 1, y: y + 1, width: width - 2, height: height - 2, rx: 3 };
  item.append(
    svg("rect", { class: "focus", x: x - 3, y: y - 3, width: width + 6, height: height + 6, rx: 5 }),
    svg("rect", { ...frame, class: "outline ns-net", "stroke-width": mark.width, "stroke-dasharray": mark.dash }),
    svg("rect", {
      class: "ground letter-box ns-net",
      x: x + PAD + 0.5,
      y: y + PAD + 1.5,
      width: 17,
      height: 17,
      rx: 2,
    }),
    svg(
      "text",
      { class: "letter ns-net", x: x + PAD + 9, y: y + PAD + 14, "text-anchor": "middle", "aria-hidden": "true" },
      mark.letter,
    ),
    svg("text", { class: "inode", x: x + PAD + 23, y: y + PAD + 15, "aria-hidden": "true" }, box.title),
    ...(news ? newsTag(x + width, y, news) : []),
    ...buses(box),
  );
  const inside = svg("g", { role: "group" });
  for (const row of box.rows) inside.append(linkRow(row, box, names, fresh));
  if (box.rows.length) item.append(inside);
  return item;
}

/** The line from a bridge down to its ports. @param {Box} box @returns {SVGElement[]} */
function buses(box) {
  return box.rows.flatMap((row, index) => {
    const next = box.rows.slice(index + 1).findIndex((other) => !other.node.port);
    const ports = box.rows.slice(index + 1, next < 0 ? undefined : index + 1 + next);
    const end = ports.at(-1);
    if (row.node.port || !end) return [];
    const x = row.x + 4.5;
    return [
      svg("path", { class: "bus", d: `M${x} ${row.y}V${end.y}` }),
      ...ports.map((port) => svg("path", { class: "bus", d: `M${x} ${port.y}H${x + INDENT - 4}` })),
    ];
  });
}

/** @param {Row} row @param {Box} box @param {Names} names @param {Fresh} fresh */
function linkRow(row, box, names, fresh) {
  const { node, x, y } = row;
  const news = fresh(node.key) || Object.keys(node.facts).map(fresh).find(Boolean) || "";
  const whole = fresh(node.key);
  const item = svg("g", {
    class: `process item${news ? " fresh" : ""}`,
    role: "treeitem",
    tabindex: -1,
    "aria-level": 2,
    "aria-label": [
      ...parts(node).map((part) => part.text),
      cableEnd(node, names),
      news && (whole ? news : t("views.changed_ago", { ago: news })),
    ]
      .filter(Boolean)
      .join(", "),
    "data-key": node.key,
  });
  const words = parts(node).map(({ text, fact, dim }) =>
    svg(
      "tspan",
      { class: whole || (fact && fresh(fact)) ? "new" : dim ? "numbers" : null, dx: fact || dim ? 8 : null },
      text,
    ),
  );
  const dot = { class: node.link.up ? "dot" : "dot hollow", x: x + 1, y: y - 3.5, width: 7, height: 7 };
  item.append(
    svg("rect", {
      class: "focus",
      x: x - 4,
      y: y - LINE / 2 + 1,
      width: box.x + box.width - x - 4,
      height: LINE - 2,
      rx: 2,
    }),
    svg("rect", { ...dot, rx: node.link.kind === "bridge" ? 0 : 3.5 }),
    svg("text", { x: x + 16, y: y + 4, "aria-hidden": "true" }, ...words),
  );
  return item;
}

/** @param {number} right @param {number} y @param {string} news */
function newsTag(right, y, news) {
  const width = cells(news) * 7.5 + 10;
  return [
    svg("rect", { class: "news-ground", x: right - 14 - width, y: y - 8, width, height: 18 }),
    svg("text", { class: "news", x: right - 19, y: y + 5, "text-anchor": "end", "aria-hidden": "true" }, news),
  ];
}

/** One row a link. @param {import("./model.js").Graph} graph @param {Names} names @param {Fresh} fresh */
export function networkTable(graph, names, fresh) {
  const body = graph.nets.flatMap((net) =>
    net.nodes.map((node, index) => {
      const { link } = node;
      const news = fresh(node.key) || Object.keys(node.facts).map(fresh).find(Boolean) || fresh(net.key);
      const head = h("th", { scope: "rowgroup", rowspan: net.nodes.length }, titleOf(net, names.seen));
      return h(
        "tr",
        { class: news ? "fresh" : null },
        index ? null : head,
        h("td", { class: "number" }, plain(link.name, 15)),
        h("td", {}, plain(link.kind, 16)),
        h("td", {}, t(link.up ? "views.up" : "views.down")),
        h("td", { class: "number" }, link.addresses.map((one) => plain(one, 50)).join(", ") || "—"),
        h("td", {}, [cableEnd(node, names), news].filter(Boolean).join(" · ") || "—"),
      );
    }),
  );
  const heads = [
    t("views.col_net"),
    t("views.col_link"),
    t("views.col_kind"),
    t("views.col_state"),
    t("views.col_addresses"),
    t("views.col_joined"),
  ];
  return viewTable("", h("caption", { class: "unseen" }, t("views.network")), heads, body);
}
