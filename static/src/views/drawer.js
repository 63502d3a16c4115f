/**
 * The drawer of the live views: a tab for each, one shown; every view hears every observation, and a tab whose view changed
 * behind another bears a mark until it is looked at. A step may say which view it is about.
 */
import { h, iconButton, relabel } from "../dom.js";
import { onPrefs, prefs, setPrefs } from "../prefs.js";
import { onLanguage, t } from "../strings.js";
import { VIEWS } from "./registry.js";

export class Drawer {
  /** @param {HTMLElement} root @param {import("../course.js").Course} course */
  constructor(root, course) {
    this.root = root;
    this.tabs = h("div", { role: "tablist", class: "tabs" });
    this.asDrawing = iconButton("shapes", "", () => setPrefs({ view: "drawing" }));
    this.asTable = iconButton("table", "", () => setPrefs({ view: "table" }));
    root.append(h("div", { class: "views-bar" }, this.tabs, this.asDrawing, this.asTable));
    /** @type {Map<string, {view: import("./live.js").LiveView, tab: HTMLElement}>} */
    this.entries = new Map();
    for (const [name, View] of Object.entries(VIEWS)) this.add(name, View);
    /** views that changed while another was shown @type {Set<string>} */
    this.changed = new Set();
    this.current = Object.keys(VIEWS)[0];
    this.wanted = "";
    this.tabs.addEventListener("keydown", (event) => this.key(event));
    onLanguage(() => this.label());
    onPrefs(() => this.label());
    course.addEventListener("step", () => this.follow(course.step?.view));
    this.choose(this.current);
    this.follow(course.step?.view);
  }

  /** @param {string} name @param {(typeof VIEWS)[string]} View */
  add(name, View) {
    const ids = { tab: `view-tab-${name}`, panel: `view-${name}` };
    const panel = h("div", { class: "view", id: ids.panel, role: "tabpanel", "aria-labelledby": ids.tab });
    const tab = h("button", {
      type: "button",
      role: "tab",
      id: ids.tab,
      "aria-controls": ids.panel,
      onclick: () => this.choose(name),
    });
    this.root.append(panel);
    this.tabs.append(tab);
    this.entries.set(name, { view: new View(panel), tab });
  }

  /** The view a step is about; a person's choice stays while the steps go on with the same. @param {string} [name] */
  follow(name = this.wanted) {
    if (name === this.wanted || !this.entries.has(name)) return;
    this.wanted = name;
    this.choose(name);
  }

  /** @param {string} name */
  choose(name) {
    this.current = name;
    this.changed.delete(name);
    for (const [other, { view, tab }] of this.entries) {
      const on = other === name;
      view.element.hidden = !on;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      if (!on) continue;
      view.draw();
      tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    this.label();
  }

  label() {
    this.tabs.setAttribute("aria-label", t("views.tabs"));
    for (const [name, { tab }] of this.entries) {
      const mark = this.changed.has(name)
        ? h("span", { class: "tab-news" }, h("span", { class: "unseen" }, t("views.changed")))
        : "";
      tab.replaceChildren(t(`views.${name}`), mark);
    }
    relabel(this.asDrawing, t("views.drawing"), prefs.view === "drawing");
    relabel(this.asTable, t("views.table"), prefs.view === "table");
  }

  /** @param {import("../types.js").Observation} observation */
  show(observation) {
    this.hear((view) => view.show(observation));
  }

  /** @param {"usage" | "plan"} what @param {any} data */
  told(what, data) {
    this.hear((view) => view.told(what, data));
  }

  /** @param {(view: import("./live.js").LiveView) => boolean} tell whether it changed by that */
  hear(tell) {
    const before = this.changed.size;
    for (const [name, { view }] of this.entries) if (tell(view) && name !== this.current) this.changed.add(name);
    if (this.changed.size !== before) this.label();
  }

  /** @param {string} terminal @param {import("../types.js").Where | null} where */
  inFront(terminal, where) {
    for (const { view } of this.entries.values()) view.inFront(terminal, where);
  }

  /** @param {string} name @returns {any} for the browser tests */
  named(name) {
    return this.entries.get(name)?.view;
  }

  focus() {
    this.entries.get(this.current)?.view.focus();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const names = [...this.entries.keys()];
    const at = names.indexOf(this.current);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(names[(to + names.length) % names.length]);
    this.entries.get(this.current)?.tab.focus();
  }
}
