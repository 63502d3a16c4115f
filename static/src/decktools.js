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
      beside: iconButton("columns", "", () => void deck.split("x"), { "data-wide": true }),
      below: iconButton("rows", "", () => void deck.split("y"), { "data-wide": true }),
      one: iconButton("one", "", () => deck.unsplit(), { "data-wide": true }),
      find: iconButton("search", "", () => deck.current()?.find()),
      copy: iconButton("copy", "", () => void deck.copy()),
      smaller: iconButton("smaller", "", () => resize(-1)),
      larger: iconButton("larger", "", () => resize(1)),
      maximize: iconButton("maximize", "", () => deck.page.maximize(), { "data-wide": true }),
    };
    const { new: add, beside, below, one, ...rest } = this.buttons;
    this.element = h(
      "div",
      { class: "deck-tools" },
      add,
      beside,
      below,
      one,
      h("span", { class: "gap" }),
      ...Object.values(rest),
    );
  }

  /** @param {{most: boolean, split: boolean, count: number}} is no more terminals can be had; one more can be shown; so many are */
  draw({ most, split, count }) {
    for (const [name, button] of Object.entries(this.buttons))
      if (name !== "maximize") relabel(button, t(`terminal.${name}`)); // that one is named by panes.js, beside the others
    this.buttons.new.setAttribute("aria-disabled", String(most));
    for (const button of [this.buttons.beside, this.buttons.below])
      button.setAttribute("aria-disabled", String(!split));
    this.buttons.one.hidden = count < 2;
  }
}
