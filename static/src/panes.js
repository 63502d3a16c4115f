/**
 * The three panes (text, terminals, views): dividers between them, the drawer on a narrow screen, the tabs on a phone, one
 * pane as large as the page, and walking between them by keys.
 */
import { Divider } from "./divider.js";
import { icon, iconButton, need, relabel } from "./dom.js";
import { onLanguage, t } from "./strings.js";

const PANES = ["text", "terminals", "views"];

export class Panes {
  /** @param {import("./page.js").Page} page */
  constructor(page) {
    this.page = page;
    this.work = need("#work");
    const side = need("#side");
    this.across = new Divider({
      name: "text",
      axis: "x",
      of: this.work,
      property: "--text-width",
      least: 22,
      most: 70,
      start: 38,
      controls: "text",
    });
    this.down = new Divider({
      name: "views",
      axis: "y",
      of: side,
      property: "--views-height",
      least: 12,
      most: 75,
      start: 36,
      controls: "views",
      reverse: true,
    });
    need("#text").after(this.across.element);
    need("#terminals").after(this.down.element);
    for (const tab of document.querySelectorAll("[data-pane]"))
      tab.addEventListener("click", () => this.choose(tab.getAttribute("data-pane") ?? "text"));
    this.drawer = need("#drawer");
    this.drawer.addEventListener("click", () => this.toggleDrawer());
    /** the buttons of the panes that make them as large as the page, by pane; the terminals' is the deck's */
    this.fullButtons = new Map(
      ["text", "views"].map((pane) => [
        pane,
        iconButton("maximize", "", () => this.full(pane), { class: "pane-full" }),
      ]),
    );
    need("#text").prepend(/** @type {Element} */ (this.fullButtons.get("text")));
    onLanguage(() => this.draw());
    this.choose("text");
    this.toggleDrawer(false);
    this.draw();
  }

  /** When the views have their bar. */
  mount() {
    need(".views-bar").append(/** @type {Element} */ (this.fullButtons.get("views")));
  }

  /** On a phone one pane is shown. @param {string} pane */
  choose(pane) {
    this.work.dataset.pane = pane;
    for (const tab of document.querySelectorAll("[data-pane][role=tab]"))
      tab.setAttribute("aria-selected", String(tab.getAttribute("data-pane") === pane));
  }

  /** What was typed is to be seen: on a phone the terminals come to the front. */
  look() {
    if (matchMedia("(max-width: 720px)").matches) this.choose("terminals");
  }

  /** At 1024 px the views are a drawer over the lower half of the text. @param {boolean} [open] */
  toggleDrawer(open = !this.work.classList.contains("drawer-open")) {
    this.work.classList.toggle("drawer-open", open);
    this.drawDrawer();
  }

  drawDrawer() {
    const open = this.work.classList.contains("drawer-open");
    this.drawer.setAttribute("aria-expanded", String(open));
    need("[data-drawer-word]", this.drawer).textContent = t(open ? "views.close" : "views.open");
  }

  /** The pane that is as large as the page, "" = none. */
  get isFull() {
    return this.work.dataset.full ?? "";
  }

  /** A pane as large as the page; asked again, all three as before. @param {string} pane @param {boolean} [focus] */
  full(pane, focus = true) {
    if (this.isFull === pane) delete this.work.dataset.full;
    else this.work.dataset.full = pane;
    this.draw();
    if (focus && !document.activeElement?.closest(`#${pane}`)) this.focus(pane, true);
  }

  draw() {
    this.drawDrawer();
    for (const [index, pane] of PANES.entries()) {
      const button = pane === "terminals" ? this.page.deck?.tools.buttons.maximize : this.fullButtons.get(pane);
      if (!button) continue;
      const on = this.isFull === pane;
      relabel(button, t(on ? "pane.restore" : "pane.full", { pane: t(`pane.${pane}`), key: `Alt ${index + 1}` }), on);
      button.setAttribute("aria-keyshortcuts", `Alt+${index + 1}`);
      button.replaceChildren(icon(on ? "minimize" : "maximize"));
    }
  }

  /** Out of the terminal, to where reading goes on. */
  leave() {
    if (this.isFull === "terminals") this.full("terminals", false);
    this.focus("text");
  }

  /** @param {string} pane @param {boolean} [still] the text stays scrolled as it is */
  focus(pane, still = false) {
    this.choose(pane);
    if (this.isFull && this.isFull !== pane) this.full(pane, false);
    if (pane === "terminals") return this.page.deck.current()?.terminal?.term.focus();
    if (pane === "views") {
      this.toggleDrawer(true);
      return this.page.views.focus();
    }
    const heading = document.querySelector("#lesson section.step:not([hidden]) h2");
    if (heading instanceof HTMLElement) heading.focus({ preventScroll: still });
  }

  /** To the next pane, as F6 does on desktops. @param {number} by */
  walk(by) {
    const here = document.activeElement?.closest("#text, #terminals, #views")?.id ?? "text";
    this.focus(PANES[(PANES.indexOf(here) + by + PANES.length) % PANES.length]);
  }
}
