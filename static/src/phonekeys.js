/**
 * The row of keys that a phone's keyboard lacks. Ctrl holds for the next letter and says so; the others type at once. They never
 * take the focus: the keyboard on the glass would go away.
 */
import { h, need } from "./dom.js";
import { t } from "./strings.js";

const KEYS = {
  Esc: "\x1b",
  Tab: "\t",
  "←": "\x1b[D",
  "↓": "\x1b[B",
  "↑": "\x1b[A",
  "→": "\x1b[C",
  "|": "|",
  "/": "/",
  "-": "-",
};

/** @param {import("./page.js").Page} page */
export function mountPhoneKeys(page) {
  const bar = need("#phone-keys");
  /** @param {string} name @param {() => void} onclick @param {Record<string, any>} [props] */
  const key = (name, onclick, props = {}) => {
    const onpointerdown = (/** @type {Event} */ event) => event.preventDefault();
    const button = h("button", { type: "button", onpointerdown, onclick, ...props }, name);
    bar.append(button);
    return button;
  };
  /** @param {string} text */
  const type = (text) => {
    const terminal = page.deck.current()?.terminal;
    terminal?.term.input(text);
    terminal?.term.focus();
  };
  const [first, second, ...rest] = Object.entries(KEYS);
  for (const [name, text] of [first, second]) key(name, () => type(text));
  const ctrl = key("Ctrl", () => hold(ctrl.getAttribute("aria-pressed") !== "true"), {
    "aria-pressed": "false",
    title: t("keys.ctrl"),
  });
  /** @param {boolean} held */
  const hold = (held) => {
    ctrl.setAttribute("aria-pressed", String(held));
    const terminal = page.deck.current()?.terminal;
    if (!terminal) return;
    terminal.heldCtrl = held ? () => hold(false) : null;
    terminal.term.focus();
  };
  for (const [name, text] of rest) key(name, () => type(text));
}
