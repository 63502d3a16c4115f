/**
 * The keyboard: few keys, none of a single letter, and none at all while a terminal has the focus but those that lead out
 * of it. Also the dialog that lists them, and the row of keys that a phone's keyboard lacks.
 */
import { h, need } from "./dom.js";
import { onLanguage, t } from "./strings.js";

/** Key names and the string that says what they do; the terminal's own are in terminal.js. */
const LIST = [
  [["Ctrl", "Shift", "Esc"], "keys.leave"],
  [["Shift", "F6"], "keys.leave_too"],
  [["F6"], "keys.walk"],
  [["Alt", "PageDown"], "keys.next"],
  [["Alt", "PageUp"], "keys.back"],
  [["Ctrl", "Shift", "F"], "keys.find"],
  [["Ctrl", "Shift", "C"], "keys.copy"],
  [["Ctrl", "Shift", "V"], "keys.paste"],
  [["Shift", "PageUp"], "keys.scroll"],
  [["←", "→", "↑", "↓"], "keys.arrows"],
  [["Ctrl", "/"], "keys.list"],
];

/** @param {import("./page.js").Page} page */
export function mountKeys(page) {
  const dialog = /** @type {HTMLDialogElement} */ (need("#keys"));
  const draw = () =>
    need("#keys-list").replaceChildren(
      ...LIST.flatMap(([keys, words]) => row(/** @type {string[]} */ (keys), String(words))),
    );
  onLanguage(draw);
  draw();
  need("#open-keys").addEventListener("click", () => dialog.showModal());
  need("#close-keys").addEventListener("click", () => dialog.close());
  document.addEventListener("keydown", (event) => onKey(event, page, dialog));
  phoneKeys(page);
}

/** @param {string[]} keys @param {string} words */
function row(keys, words) {
  return [h("dt", {}, ...keys.flatMap((key, index) => [index ? " " : "", h("kbd", {}, key)])), h("dd", {}, t(words))];
}

/** @param {KeyboardEvent} event @param {import("./page.js").Page} page @param {HTMLDialogElement} dialog */
function onKey(event, page, dialog) {
  if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
  const target = /** @type {Element} */ (event.target);
  if (target.closest?.(".screen") || dialog.open) return;
  /** @type {(() => void) | undefined} */
  let act;
  if (event.key === "F6" && !event.ctrlKey && !event.altKey) act = () => page.panes.walk(event.shiftKey ? -1 : 1);
  if (event.altKey && event.key === "PageDown") act = () => page.course.move(1);
  if (event.altKey && event.key === "PageUp") act = () => page.course.move(-1);
  if (event.ctrlKey && event.key === "/") act = () => dialog.showModal();
  if (!act) return;
  event.preventDefault();
  act();
}

/** Ctrl holds for one letter; the others type at once. @param {import("./page.js").Page} page */
function phoneKeys(page) {
  const bar = need("#phone-keys");
  const keys = {
    Esc: "\x1b",
    Tab: "\t",
    "←": "\x1b[D",
    "↓": "\x1b[B",
    "↑": "\x1b[A",
    "→": "\x1b[C",
    "Ctrl-C": "\x03",
    "Ctrl-D": "\x04",
  };
  for (const [name, text] of Object.entries(keys)) {
    const type = () => {
      page.deck.current()?.terminal?.term.input(text);
      page.deck.current()?.terminal?.term.focus();
    };
    bar.append(
      h(
        "button",
        { type: "button", onpointerdown: (/** @type {Event} */ event) => event.preventDefault(), onclick: type },
        name,
      ),
    );
  }
}
