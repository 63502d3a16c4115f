/**
 * The cgroups view: the tree of the learner's groups, each with what it uses, its limits and what they did, as charts that
 * move while something happens. Each limit that is written is marked on the chart at that moment. The table says the same.
 *
 * Charts keep their elements from one second to the next, unlike the drawings of the other views.
 */
import { h } from "../dom.js";
import { prefs } from "../prefs.js";
import { t } from "../strings.js";
import { isDark } from "../theme.js";
import { palette, WINDOW_S } from "./cgroups/chart.js";
import { History, limitsOf, parentOf } from "./cgroups/history.js";
import { Row } from "./cgroups/row.js";
import { drawTable } from "./cgroups/table.js";
import { nameOf, phrase } from "./cgroups/words.js";
import { LiveView, mapScale } from "./live.js";

/** @typedef {import("../types.js").Observation} Observation */
/** @typedef {import("./cgroups/history.js").GroupUsage} GroupUsage */

/** Groups with charts; the table has all. */
const CHARTED = 24;

export class CgroupsView extends LiveView {
  history = new History();
  /** @type {Map<string, Row>} */
  rows = new Map();
  tree = h("div", { class: "cg-tree", role: "tree" });
  /** the open group; a person's choice stays, else the newest is open */
  open = "/";
  chosen = false;
  stamp = "";
  /** @type {Record<string, string>} */
  colours = {};

  /** @param {HTMLElement} element */
  constructor(element) {
    super(element);
    this.tree.addEventListener("keydown", (event) => this.key(event));
    setInterval(() => this.isMoving() && this.draw(), 1000);
  }

  /** The window goes on while there is something in it; then the chart is a flat line, and stands. */
  isMoving() {
    return this.history.now() - this.history.moved < WINDOW_S + 5;
  }

  /** @override @param {Observation} seen */
  *things(seen) {
    for (const group of seen.cgroups ?? []) {
      yield `group:${group.path}`;
      for (const { what, value } of limitsOf(group)) yield `limit:${group.path} ${what} ${value}`;
    }
  }

  /** @override @param {string[]} keys */
  names(keys) {
    return keys.map((key) => {
      if (key.startsWith("group:")) return nameOf(key.slice(6));
      const [path, what, value] = key.slice(6).split(/ (?=[a-z_]+ [\d.]+$)| (?=[\d.]+$)/);
      return `${nameOf(path)} ${phrase(what, Number(value))}`;
    });
  }

  /** @override @param {string} name @param {any} data */
  told(name, data) {
    if (name !== "usage") return false;
    const known = new Set(this.history.groups.keys());
    const marks = this.history.take(data.groups);
    const came = data.groups.filter((/** @type {GroupUsage} */ group) => known.size && !known.has(group.path));
    const newest = came.at(-1)?.path ?? marks.at(-1)?.path;
    if (newest && !this.chosen) this.open = newest;
    if (!this.history.groups.has(this.open)) [this.open, this.chosen] = ["/", false];
    this.draw();
    if (newest) this.reveal();
    return marks.length > 0;
  }

  /** The open group, which is the newest, and not the first of several that came. @override */
  reveal() {
    if (!this.shown || this.canvas.contains(document.activeElement)) return;
    this.rows.get(this.open)?.item.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  /** @override */
  draw() {
    // The base draws from its constructor, before the fields here are made.
    if (!this.shown || !this.history) return;
    if (!this.history.groups.size)
      return this.canvas.replaceChildren(h("p", { class: "view-empty" }, t("views.empty")));
    const asTable = prefs.view === "table";
    this.asTable(asTable);
    if (asTable) return this.canvas.replaceChildren(drawTable(this.history, (key) => this.fresh(key)));
    if (this.tree.parentElement !== this.canvas || this.canvas.childElementCount > 1)
      this.canvas.replaceChildren(this.tree);
    this.tree.setAttribute("aria-label", t("views.cgroups"));
    this.drawRows();
    this.keys.rove();
  }

  /** @param {string} key */
  fresh(key) {
    const seconds = this.news.age(key);
    return seconds === null ? "" : t("views.new", { seconds });
  }

  drawRows() {
    const stamp = `${prefs.theme} ${isDark()} ${mapScale()}`;
    if (stamp !== this.stamp) [this.stamp, this.colours] = [stamp, palette()];
    const all = this.history.tree().slice(0, CHARTED);
    const paths = new Set(all.map((past) => past.path));
    for (const [path, row] of this.rows) {
      if (paths.has(path)) continue;
      row.close();
      this.rows.delete(path);
    }
    for (const [at, past] of all.entries()) {
      const row = this.rowOf(past.path);
      // Only what stands elsewhere is moved: moving takes the focus.
      if (this.tree.children[at] !== row.item) this.tree.insertBefore(row.item, this.tree.children[at] ?? null);
      const look = { open: past.path === this.open, scale: mapScale(), colours: this.colours, stamp };
      row.draw(past, this.history, this.levelOf(past.path), look, (key) => this.fresh(key));
    }
  }

  /** @param {string} path */
  rowOf(path) {
    const known = this.rows.get(path);
    if (known) return known;
    const row = new Row(path, () => this.choose(path));
    this.rows.set(path, row);
    return row;
  }

  /** On which level of the tree a group stands; one whose parent is not shown stands below the next that is. @param {string} path */
  levelOf(path) {
    let level = 1;
    for (let up = parentOf(path); up; up = parentOf(up)) if (this.rows.has(up)) level += 1;
    return level;
  }

  /** @param {string} path */
  choose(path) {
    [this.open, this.chosen] = [path, true];
    this.draw();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key !== "Enter" && event.key !== " ") return;
    const path = document.activeElement?.getAttribute("data-key")?.slice(6);
    if (!path) return;
    event.preventDefault();
    this.choose(path);
  }
}
