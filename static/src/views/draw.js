/**
 * Puts the layout down as SVG with real elements: each box and each process is a tree item with a name of its own, reached by
 * arrow keys. Text is set as text: host names and argv come from a learner's processes.
 */
import { chip } from "../chip.js";
import { h, plain, svg } from "../dom.js";
import { KINDS } from "../kinds.js";
import { t } from "../strings.js";
import { cells, LINE, RING } from "./layout.js";
import { namespaceKey, processKey } from "./model.js";
import { viewTable } from "./parts.js";

const RADIUS = 3;

/** @typedef {import("./layout.js").Box} Box */

/**
 * @param {Box} box @param {number} level of the tree, from 1
 * @param {(key: string) => string} fresh text for what is new ("new, 2 s ago"), else ""
 * @returns {SVGElement}
 */
export function drawGroup(box, level, fresh) {
  const { group } = box;
  const news = group.added.map((one) => fresh(namespaceKey(one))).find(Boolean) ?? "";
  const item = svg("g", {
    class: `group${news ? " fresh" : ""}${group.keptBy ? " kept" : ""}`,
    role: "treeitem",
    tabindex: -1,
    "aria-level": level,
    "aria-expanded": group.children.length + group.processes.length > 0 ? "true" : null,
    "aria-label": groupName(box, news),
    "data-key": `group:${group.key}`,
    transform: `translate(${box.x} ${box.y})`,
  });
  item.append(...outlines(box), ...header(box, news));
  const inside = svg("g", { role: "group" });
  for (const spot of box.spots) inside.append(processSpot(spot, level + 1, fresh));
  for (const child of box.children) inside.append(drawGroup(child, level + 1, fresh));
  if (inside.childNodes.length) item.append(inside);
  return item;
}

/** One outline a namespace, each in its own colour and line; the lab itself has a plain one. @param {Box} box */
function outlines(box) {
  const marks = box.group.added.length ? box.group.added : [null];
  const focus = svg("rect", {
    class: "focus",
    x: -3,
    y: -3,
    width: box.width + 6,
    height: box.height + 6,
    rx: RADIUS + 2,
  });
  const rects = marks.flatMap((one, index) => {
    const inset = index * RING + 1;
    const place = {
      x: inset,
      y: inset,
      width: Math.max(0, box.width - 2 * inset),
      height: Math.max(0, box.height - 2 * inset),
      rx: RADIUS,
    };
    const mark = one ? KINDS[one.kind] : null;
    const props = {
      ...place,
      class: one ? `outline ns-${one.kind}` : "outline plain",
      "stroke-width": mark?.width ?? 1,
      "stroke-dasharray": mark?.dash || null,
    };
    const rect = svg("rect", props);
    if (!mark?.double) return [rect];
    const twin = {
      ...props,
      x: inset + 2.5,
      y: inset + 2.5,
      width: Math.max(0, place.width - 5),
      height: Math.max(0, place.height - 5),
      "stroke-width": 1,
    };
    return [rect, svg("rect", twin)];
  });
  return [focus, ...rects];
}

/** @param {Box} box @param {string} news */
function header(box, news) {
  const parts = [];
  const base = 15;
  if (box.title)
    parts.push(svg("text", { class: "title", x: box.inset, y: box.inset + base, "aria-hidden": "true" }, box.title));
  for (const one of box.chips) {
    const letter = svg(
      "text",
      { class: "letter", x: 9, y: 14, "text-anchor": "middle", "aria-hidden": "true" },
      KINDS[one.namespace.kind].letter,
    );
    const square = svg("rect", { class: "letter-box", x: 0.5, y: 1.5, width: 17, height: 17, rx: 2 });
    const text = svg("text", { class: "inode", x: 23, y: base, "aria-hidden": "true" }, one.text);
    parts.push(
      svg(
        "g",
        { class: `chip ns-${one.namespace.kind}`, transform: `translate(${one.x} ${one.y})` },
        square,
        letter,
        text,
      ),
    );
  }
  if (box.note)
    parts.push(
      svg("text", { class: "title", x: box.inset, y: box.height - box.inset - 6, "aria-hidden": "true" }, box.note),
    );
  if (news) parts.push(...newsTag(box, news));
  return parts;
}

/** Sits on the outline as a legend does. @param {Box} box @param {string} news */
function newsTag(box, news) {
  const width = cells(news) * 7.5 + 10;
  const x = box.width - 14;
  return [
    svg("rect", { class: "news-ground", x: x - width, y: -8, width, height: 18 }),
    svg("text", { class: "news", x: x - 5, y: 5, "text-anchor": "end", "aria-hidden": "true" }, news),
  ];
}

/** @param {import("./layout.js").ProcessSpot} spot @param {number} level @param {(key: string) => string} fresh */
function processSpot(spot, level, fresh) {
  const key = processKey(spot.process);
  const news = fresh(key);
  const item = svg("g", {
    class: `process${news ? " fresh" : ""}`,
    role: "treeitem",
    tabindex: -1,
    "aria-level": level,
    "aria-label": [spot.name, spot.numbers, news].filter(Boolean).join(", "),
    "data-key": key,
    transform: `translate(${spot.x} ${spot.y})`,
  });
  item.append(
    svg("rect", { class: "focus", x: -4, y: 1, width: spot.width + 8, height: LINE - 2, rx: 2 }),
    ...(spot.here
      ? [svg("rect", { class: "cursor", x: 0.5, y: 4, width: 8, height: 14 })]
      : [svg("circle", { class: "dot", cx: 4, cy: 11, r: 3 })]),
    svg(
      "text",
      { class: "name", x: 14, y: 15, "aria-hidden": "true" },
      spot.name,
      svg("tspan", { class: "numbers", dx: 8 }, spot.numbers),
    ),
  );
  return item;
}

/** @param {Box} box @param {string} news */
function groupName(box, news) {
  const { group } = box;
  const names = group.added.map(
    (one) => `${one.kind} ${one.inode}${one.hostname ? ` ${plain(one.hostname, 32)}` : ""}`,
  );
  const head = names.length
    ? t("views.group", { names: names.join(", "), count: group.processes.length })
    : t("views.lab_group", { count: group.processes.length });
  return [head, box.note, news].filter(Boolean).join(", ");
}

/**
 * The same as a table: one row a namespace that is not the lab's, and the lab's below.
 * @param {import("../types.js").Observation} seen @param {Record<string, number>} lab @param {(key: string) => string} fresh
 */
export function drawTable(seen, lab, fresh) {
  const rank = (/** @type {import("../types.js").Namespace} */ one) =>
    (one.inode === lab[one.kind] ? 100 : 0) + Object.keys(KINDS).indexOf(one.kind);
  const rows = [...seen.namespaces].sort((a, b) => rank(a) - rank(b) || a.inode - b.inode);
  const names = new Map(
    seen.processes.map((process) => [process.pid, `${plain(process.comm, 20)} ${process.nspid[0]}`]),
  );
  const body = rows.map((one) => {
    const news = fresh(namespaceKey(one));
    const inside = one.processes.map((pid) => names.get(pid) ?? String(pid));
    const listed = inside.slice(0, 6).join(", ") + (inside.length > 6 ? ` … (${inside.length})` : "");
    return h(
      "tr",
      { class: news ? "fresh" : null },
      h("th", { scope: "row" }, chip(one.kind, true)),
      h("td", { class: "number" }, String(one.inode)),
      h("td", {}, one.inode === lab[one.kind] ? t("views.of_lab") : news || t("views.own")),
      h(
        "td",
        {},
        listed || t(`views.kept_${one.kept_by ?? "fd"}`),
        one.hostname ? ` · ${plain(one.hostname, 32)}` : "",
      ),
    );
  });
  const heads = ["kind", "inode", "whose", "processes"].map((name) => t(`views.col_${name}`));
  return viewTable("", h("caption", { class: "unseen" }, t("views.namespaces")), heads, body);
}
