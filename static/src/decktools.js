/** The buttons beside the tabs, made once and renamed in place: one that has the focus keeps it. */
import { h, iconButton, relabel } from "./dom.js";
import { t } from "./strings.js";
import { setSize, size } from "./theme.js";

export class DeckTools {
  /** @param {import("./deck.js").Deck} deck */
  constructor(deck) {
    this.deck = deck;
    const resize = (/** @type {number} */ by) => setSize("terminal", size("terminal") + by);
    this.buttons = {
      new: iconButton("plus", "", () => void deck.add()),
      two: iconButton("columns", "", () => void deck.toggleTwo(), { "data-wide": true }),
      find: iconButton("search", "", () => deck.current()?.find()),
      copy: iconButton("copy", "", () => void deck.copy()),
      smaller: iconButton("smaller", "", () => resize(-1)),
      larger: iconButton("larger", "", () => resize(1)),
      maximize: iconButton("maximize", "", () => deck.page.maximize()),
    };
    const { new: add, two, ...rest } = this.buttons;
    this.element = h("div", { class: "deck-tools" }, add, two, h("span", { class: "gap" }), ...Object.values(rest));
  }

  /** @param {boolean} full no more terminals can be had @param {boolean} two are shown */
  draw(full, two) {
    for (const [name, button] of Object.entries(this.buttons))
      if (name !== "maximize") relabel(button, t(`terminal.${name}`)); // that one is named by panes.js, beside the others
    relabel(this.buttons.two, t("terminal.two"), two);
    this.buttons.new.setAttribute("aria-disabled", String(full));
  }
}
