/**
 * The namespaces view: the drawing or the table of the last observation, what came in the last seconds marked, what came and
 * went said to screen readers, and arrow keys in the tree.
 */
import { h, iconButton, relabel, svg } from "../dom.js";
import { prefs, setPrefs } from "../prefs.js";
import { onLanguage, t } from "../strings.js";
import { onTheme } from "../theme.js";
import { drawGroup, drawTable } from "./draw.js";
import { LINE, layout, PAD } from "./layout.js";
import { groups, keysOf, labInodes } from "./model.js";
import { TreeKeys } from "./tree.js";
import { wordsOf } from "./words.js";

/** How long something counts as new. */
const FRESH_MS = 8000;

export class NamespacesView {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    /** @type {import("../types.js").Observation | null} */
    this.seen = null;
    /** when each thing was first seen, 0 = it was there before the page looked @type {Map<string, number>} */
    this.since = new Map();
    /** what this very drawing shows for the first time: it fades in, all else stands still @type {Set<string>} */
    this.came = new Set();
    /** pid of the process in front to the name of its terminal @type {Map<number, string>} */
    this.front = new Map();
    this.said = h("p", { class: "unseen", role: "status" });
    this.toggle = h("span", {});
    this.canvas = h("div", { class: "canvas" });
    this.head = h("div", { class: "view-head" });
    element.append(this.head, this.said, this.canvas);
    this.keys = new TreeKeys(this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    onLanguage(() => this.draw());
    onTheme(() => this.draw());
    setInterval(() => this.hasFresh() && this.draw(), 1000);
    this.draw();
  }

  /** @param {import("../types.js").Observation} observation */
  show(observation) {
    const keys = keysOf(observation);
    // After a reset all is new, so nothing is.
    const first = this.seen?.lab !== observation.lab || this.seen.init.pid !== observation.init.pid;
    if (first) this.since.clear();
    const came = [...keys].filter((key) => !this.since.has(key));
    const went = [...this.since.keys()].filter((key) => !keys.has(key));
    for (const key of came) this.since.set(key, first ? 0 : Date.now());
    for (const key of went) this.since.delete(key);
    this.seen = observation;
    this.came = new Set(first ? [] : came);
    if (!first) this.announce(came, went);
    this.draw();
    this.came = new Set();
    if (!first && came.length) this.reveal();
  }

  /** @param {string[]} came @param {string[]} went */
  announce(came, went) {
    const names = (/** @type {string[]} */ keys) =>
      keys.filter((key) => key.startsWith("namespace:")).map((key) => key.split(":").slice(1).join(" "));
    const sentences = [
      names(came).length ? t("views.came", { names: names(came).join(", ") }) : "",
      names(went).length ? t("views.went", { names: names(went).join(", ") }) : "",
    ].filter(Boolean);
    if (sentences.length) this.said.textContent = sentences.join(" ");
  }

  /** Who has the keys of which terminal. @param {string} terminal @param {import("../types.js").Where | null} where */
  inFront(terminal, where) {
    for (const [pid, name] of this.front) if (name === terminal) this.front.delete(pid);
    if (where?.foreground) this.front.set(where.foreground.pid, terminal);
    this.draw();
  }

  /** What is new is of no use below the edge; but never move what a person is walking in. */
  reveal() {
    const fresh = this.canvas.querySelector(".group.fresh");
    if (!fresh || this.canvas.contains(document.activeElement)) return;
    const box = fresh.getBoundingClientRect();
    const view = this.canvas.getBoundingClientRect();
    if (box.bottom > view.bottom)
      this.canvas.scrollTop += Math.min(box.bottom - view.bottom + 4, box.top - view.top - 24);
    else if (box.top < view.top) this.canvas.scrollTop -= view.top - box.top + 24;
  }

  hasFresh() {
    return [...this.since.values()].some((at) => at && Date.now() - at < FRESH_MS + 1500);
  }

  /** @param {string} key @returns {string} */
  fresh(key) {
    const at = this.since.get(key) ?? 0;
    const age = Date.now() - at;
    return at && age < FRESH_MS ? t("views.new", { seconds: Math.floor(age / 1000) }) : "";
  }

  focus() {
    this.keys.focus();
  }

  /** The two buttons stay where they are: a drawing each second must not take the focus from them. */
  drawHead() {
    const drawing = prefs.view === "drawing";
    if (!this.head.firstChild) {
      const draw = iconButton("shapes", "", () => setPrefs({ view: "drawing" }));
      const list = iconButton("table", "", () => setPrefs({ view: "table" }));
      this.head.append(h("h2", {}), draw, list);
    }
    const [title, draw, list] = this.head.children;
    title.textContent = t("views.namespaces");
    relabel(draw, t("views.drawing"), drawing);
    relabel(list, t("views.table"), !drawing);
  }

  draw() {
    this.drawHead();
    const { seen } = this;
    if (!seen) return this.canvas.replaceChildren(h("p", { class: "view-empty" }, t("views.empty")));
    const drawing = prefs.view === "drawing";
    const fresh = (/** @type {string} */ key) => this.fresh(key);
    if (this.canvas.classList.contains("as-table") === drawing) this.canvas.scrollTop = 0;
    this.canvas.classList.toggle("as-table", !drawing);
    this.keys.keep(() =>
      this.canvas.replaceChildren(drawing ? this.drawing(fresh) : drawTable(seen, labInodes(seen), fresh)),
    );
    for (const item of this.canvas.querySelectorAll("[data-key].fresh"))
      item.classList.toggle("came", this.hasCome(item));
  }

  /** @param {Element} item of the tree */
  hasCome(item) {
    const key = item.getAttribute("data-key") ?? "";
    const parts = key.startsWith("group:")
      ? key
          .slice(6)
          .split(" ")
          .map((part) => `namespace:${part}`)
      : [key];
    return parts.some((part) => this.came.has(part));
  }

  /** @param {(key: string) => string} fresh */
  drawing(fresh) {
    const seen = /** @type {import("../types.js").Observation} */ (this.seen);
    const scale = mapScale();
    const room = Math.max(300, Math.floor((this.canvas.clientWidth - 2) / scale));
    const lab = layout(groups(seen), room - 2 * PAD, wordsOf(seen, this.front));
    lab.width = room - 2 * PAD;
    Object.assign(lab, { x: PAD, y: PAD + LINE });
    const height = lab.height + LINE + 2 * PAD;
    const machine = [
      svg("rect", { class: "outline plain machine", x: 1, y: 1, width: room - 2, height: height - 2, rx: 3 }),
      svg("text", { class: "title", x: PAD, y: PAD + 13 }, t("views.machine")),
    ];
    const tree = svg("svg", {
      class: "map",
      role: "tree",
      "aria-label": t("views.namespaces"),
      width: Math.floor(room * scale),
      height: Math.ceil(height * scale),
      viewBox: `0 0 ${room} ${height}`,
    });
    tree.append(svg("g", { role: "none" }, ...machine, drawGroup(lab, 1, fresh)));
    return tree;
  }
}

/** The drawing grows with the text, and on a projector. @returns {number} */
function mapScale() {
  return prefs.theme === "projector" ? 1.6 : Math.min(1.6, Math.max(0.85, prefs.text / 17));
}
