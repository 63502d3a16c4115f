/**
 * One group of the tree: its name, and a chart of each controller, all on one line, so that two groups can be compared by eye.
 * The open one is larger, with scales and a list of what was written. The elements stay; a second changes text and charts.
 */
import { h } from "../../dom.js";
import { t } from "../../strings.js";
import { Chart } from "./chart.js";
import { CHARTS, head, limitWord, moment, nameOf, phrase, processes } from "./words.js";

/** @typedef {import("./history.js").Past} Past */
/** @typedef {import("./history.js").History} History */
/** @typedef {import("./words.js").ChartName} ChartName */
/** @typedef {Parameters<Chart["draw"]>[3]} Look */

/** @typedef {import("./history.js").Mark} Mark */

/** Marks in the list of the open group. */
const LISTED = 6;

/** rows so far: each has an id */
let made = 0;

export class Row {
  /** @param {string} path @param {() => void} onOpen */
  constructor(path, onOpen) {
    this.path = path;
    this.label = h("div", { class: "cg-label" });
    this.list = h("ol", { class: "cg-marks" });
    /** @type {Map<ChartName, {cell: HTMLElement, head: HTMLElement, chart: Chart}>} */
    this.cells = new Map();
    const id = `cg-row-${++made}`;
    this.list.id = `${id}-marks`;
    const line = h("div", { class: "cg-row", id, onclick: onOpen }, this.label);
    for (const name of CHARTS) {
      const top = h("p", { class: "cg-head" });
      const host = h("div", { class: "cg-chart", "aria-hidden": "true" });
      const cell = h("div", { class: `cg-cell cg-${name}` }, top, host);
      this.cells.set(name, { cell, head: top, chart: new Chart(name, host) });
      line.append(" ", cell); // a space, so that the name of the item is what is read on the screen
    }
    this.item = h(
      "div",
      {
        role: "treeitem",
        tabindex: -1,
        class: "cg-item item",
        "aria-labelledby": `${id} ${id}-marks`,
        "data-key": `group:${path}`,
      },
      line,
      this.list,
    );
  }

  /**
   * @param {Past} past @param {History} history @param {number} level of the tree, from 1
   * @param {Look} look @param {import("../live.js").Fresh} fresh
   */
  draw(past, history, level, look, fresh) {
    const news = fresh(`group:${this.path}`);
    this.item.setAttribute("aria-level", String(level));
    this.item.setAttribute("aria-expanded", String(look.open));
    this.item.style.setProperty("--level", String(level - 1));
    this.item.classList.toggle("fresh", Boolean(news));
    this.item.classList.toggle("open", look.open);
    const { now } = past;
    this.label.replaceChildren(
      h("b", { class: "cg-name" }, nameOf(this.path)),
      " ",
      h("span", { class: "cg-count" }, t("cgroups.processes", { count: processes(past) })),
      now.frozen ? h("span", { class: "cg-state" }, t("cgroups.frozen")) : "",
      news ? h("span", { class: "cg-news" }, news) : "",
    );
    for (const [name, { cell, head: top, chart }] of this.cells) {
      const told = head(name, past);
      cell.classList.toggle("absent", !told);
      const title = t(`cgroups.${name}`);
      if (!told) {
        top.replaceChildren(h("span", { class: "cg-title" }, title), " –");
        chart.close();
        continue;
      }
      top.replaceChildren(...this.headOf(title, told, fresh));
      chart.draw(past, history.marksOf(this.path, name), history.now(), look);
    }
    this.drawMarks(look.open ? merged(history.marks.filter((mark) => mark.path === this.path)).slice(-LISTED) : []);
  }

  /** @param {string} title @param {NonNullable<ReturnType<typeof head>>} told @param {import("../live.js").Fresh} fresh */
  headOf(title, told, fresh) {
    const { limit } = told;
    const isNew = limit && fresh(`limit:${this.path} ${limit.what} ${limit.value}`);
    return [
      h("span", { class: "cg-title" }, title),
      ` ${told.now} `,
      limit ? h("span", { class: isNew ? "cg-limit fresh" : "cg-limit" }, limitWord(limit)) : "",
      told.bit ? h("span", { class: "cg-bit" }, ` ✕ ${told.bit}`) : "",
    ];
  }

  /** @param {Mark[]} marks */
  drawMarks(marks) {
    const items = marks.map((mark) =>
      h(
        "li",
        { class: mark.limit ? null : "cg-bit" },
        h("time", {}, moment(mark.at)),
        ` ${mark.limit ? "" : "✕ "}${phrase(mark.what, mark.value)}`,
      ),
    );
    this.list.replaceChildren(...items.reverse().flatMap((item) => [" ", item]));
  }

  close() {
    for (const { chart } of this.cells.values()) chart.close();
    this.item.remove();
  }
}

/** What happened again and again is one line, with the sum and the last time. @param {Mark[]} marks @returns {Mark[]} */
function merged(marks) {
  /** @type {Mark[]} */
  const found = [];
  for (const mark of marks) {
    const last = found.at(-1);
    if (last && !mark.limit && last.what === mark.what)
      found[found.length - 1] = { ...mark, value: (last.value ?? 0) + (mark.value ?? 0) };
    else found.push(mark);
  }
  return found;
}
