/**
 * What every live view is: the last observation as a drawing or as a table, what came in the last seconds marked, what came
 * and went said to screen readers, arrow keys in the tree. A view says what its things are and how they look. One that is
 * not shown keeps what it was told and draws nothing.
 */
import { h } from "../dom.js";
import { prefs } from "../prefs.js";
import { onLanguage, t } from "../strings.js";
import { onTheme } from "../theme.js";
import { News } from "./news.js";
import { TreeKeys } from "./tree.js";

/** @typedef {import("../types.js").Observation} Observation */
/** @typedef {(key: string) => string} Fresh  text for what is new ("new, 2 s ago"), else "" */

export class LiveView {
  /** @param {HTMLElement} element the tab's panel */
  constructor(element) {
    this.element = element;
    /** @type {Observation | null} */
    this.seen = null;
    this.news = new News();
    this.said = h("p", { class: "unseen", role: "status" });
    this.canvas = h("div", { class: "canvas" });
    element.append(this.said, this.canvas);
    this.keys = new TreeKeys(this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    onLanguage(() => this.draw());
    onTheme(() => this.draw());
    setInterval(() => this.news.any() && this.draw(), 1000);
    this.draw();
  }

  /** Keys of everything that can come, go and be marked. @param {Observation} _seen @returns {Iterable<string>} */
  things(_seen) {
    return [];
  }

  /** What a screen reader is told of some of them. @param {string[]} _keys @returns {string[]} */
  names(_keys) {
    return [];
  }

  /** @param {Observation} _seen @param {Fresh} _fresh @returns {Element} */
  drawing(_seen, _fresh) {
    throw new Error("a view draws");
  }

  /** @param {Observation} _seen @param {Fresh} _fresh @returns {Element} */
  table(_seen, _fresh) {
    throw new Error("a view has a table");
  }

  /** The sentence while there is nothing to show. @param {Observation | null} seen @returns {string} "" when there is */
  empty(seen) {
    return seen ? "" : t("views.empty");
  }

  get shown() {
    return this.canvas.clientWidth > 0;
  }

  /** @param {Observation} observation @returns {boolean} whether something came or went */
  show(observation) {
    const { first, came, went } = this.news.take(
      `${observation.lab} ${observation.init.pid}`,
      this.things(observation),
    );
    this.seen = observation;
    if (!first && this.shown) this.announce(came, went);
    this.draw();
    this.news.came.clear();
    if (came.length) this.reveal();
    return !first && came.length + went.length > 0;
  }

  /** The process in front of a terminal is another one. @param {string} _terminal @param {import("../types.js").Where | null} _where */
  inFront(_terminal, _where) {}

  /** What is no observation: `usage` of the groups, the `plan` of the last run. @param {string} _name @param {any} _data @returns {boolean} whether something worth looking at changed */
  told(_name, _data) {
    return false;
  }

  /** @param {string[]} came @param {string[]} went */
  announce(came, went) {
    const [new_, gone] = [this.names(came).join(", "), this.names(went).join(", ")];
    const sentences = [new_ && t("views.came", { names: new_ }), gone && t("views.went", { names: gone })];
    if (new_ || gone) this.said.textContent = sentences.filter(Boolean).join(" ");
  }

  /** What is new is of no use below the edge; but never move what a person is walking in. */
  reveal() {
    const fresh = this.canvas.querySelector(".group.fresh, .item.fresh");
    if (!fresh || this.canvas.contains(document.activeElement)) return;
    const box = fresh.getBoundingClientRect();
    const view = this.canvas.getBoundingClientRect();
    if (box.bottom > view.bottom)
      this.canvas.scrollTop += Math.min(box.bottom - view.bottom + 4, box.top - view.top - 24);
    else if (box.top < view.top) this.canvas.scrollTop -= view.top - box.top + 24;
  }

  focus() {
    this.keys.focus();
  }

  draw() {
    if (!this.shown) return;
    const { seen } = this;
    const empty = this.empty(seen);
    if (!seen || empty) return this.canvas.replaceChildren(h("p", { class: "view-empty" }, empty));
    const drawing = prefs.view === "drawing";
    const fresh = (/** @type {string} */ key) => {
      const seconds = this.news.age(key);
      return seconds === null ? "" : t("views.new", { seconds });
    };
    this.asTable(!drawing);
    this.keys.keep(() => this.canvas.replaceChildren(drawing ? this.drawing(seen, fresh) : this.table(seen, fresh)));
    for (const item of this.canvas.querySelectorAll("[data-key].fresh"))
      item.classList.toggle("came", this.hasCome(item.getAttribute("data-key") ?? ""));
  }

  /** A table has nothing in it that takes the focus, so its frame does: it can be scrolled by keys. @param {boolean} yes */
  asTable(yes) {
    if (this.canvas.classList.contains("as-table") !== yes) this.canvas.scrollTop = 0;
    this.canvas.classList.toggle("as-table", yes);
    if (yes) this.canvas.tabIndex = 0;
    else this.canvas.removeAttribute("tabindex");
  }

  /** Whether this very drawing shows it for the first time: it fades in, all else stands still. @param {string} key */
  hasCome(key) {
    return this.news.came.has(key);
  }
}

/** A drawing grows with the text, and on a projector. @returns {number} */
export function mapScale() {
  if (prefs.theme === "projector") return Math.min(2.4, Math.max(1, (1.6 * prefs.projectorText) / 24));
  return Math.min(1.6, Math.max(0.85, prefs.text / 17));
}
