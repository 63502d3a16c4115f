/**
 * The keyboard: few keys, none of a single letter. While a terminal has the focus every key goes to it, but for those that
 * lead out of it and those that arrange the page (`ofPage`). Also the dialog that lists them all.
 */
import { h, need } from "./dom.js";
import { mountPhoneKeys } from "./phonekeys.js";
import { onLanguage, t } from "./strings.js";
import { setSize, size } from "./theme.js";

/** By part of the page: key names and the string that says what they do. */
const LIST = {
  page: [
    [["Alt", "1"], "keys.full_text"],
    [["Alt", "2"], "keys.full_terminals"],
    [["Alt", "3"], "keys.full_views"],
    [["F6"], "keys.walk"],
    [["Alt", "Shift", "→"], "keys.beside"],
    [["Alt", "Shift", "↓"], "keys.below"],
    [["Alt", "Shift", "↑"], "keys.one"],
    [["Ctrl", "Shift", "↓"], "keys.next_terminal"],
    [["Alt", "+"], "keys.larger"],
    [["Alt", "-"], "keys.smaller"],
    [["←", "→", "↑", "↓"], "keys.arrows"],
    [["Ctrl", "/"], "keys.list"],
  ],
  reading: [
    [["Alt", "PageDown"], "keys.next"],
    [["Alt", "PageUp"], "keys.back"],
  ],
  terminal: [
    [["Ctrl", "Shift", "Esc"], "keys.leave"],
    [["Shift", "F6"], "keys.leave_too"],
    [["Ctrl", "Shift", "F"], "keys.find"],
    [["Ctrl", "Shift", "C"], "keys.copy"],
    [["Ctrl", "Shift", "V"], "keys.paste"],
    [["Shift", "PageUp"], "keys.scroll"],
  ],
};

/** By key or place on the keyboard. @type {Record<string, (page: import("./page.js").Page) => void>} */
const EVERYWHERE = {
  "Alt Digit1": (page) => page.panes.full("text"),
  "Alt Digit2": (page) => page.panes.full("terminals"),
  "Alt Digit3": (page) => page.panes.full("views"),
  "Alt Shift ArrowRight": (page) => void page.deck.split("x"),
  "Alt Shift ArrowDown": (page) => void page.deck.split("y"),
  "Alt Shift ArrowUp": (page) => page.deck.unsplit(),
  "Ctrl Shift ArrowDown": (page) => page.deck.walk(1),
  "Ctrl Shift ArrowUp": (page) => page.deck.walk(-1),
};

/** @param {import("./page.js").Page} page */
export function mountKeys(page) {
  const dialog = /** @type {HTMLDialogElement} */ (need("#keys"));
  const draw = () =>
    need("#keys-list").replaceChildren(...Object.entries(LIST).map(([part, keys]) => group(part, keys)));
  onLanguage(draw);
  draw();
  need("#open-keys").addEventListener("click", () => show(dialog));
  need("#close-keys").addEventListener("click", () => dialog.close());
  document.addEventListener("keydown", (event) => onKey(event, page, dialog));
  mountPhoneKeys(page);
}

/** From its top, though the button at its end has the focus. @param {HTMLDialogElement} dialog */
function show(dialog) {
  dialog.showModal();
  dialog.scrollTop = 0;
}

/** @param {string} part @param {(string | string[])[][]} keys */
function group(part, keys) {
  const rows = keys.flatMap(([names, words]) => row(/** @type {string[]} */ (names), String(words)));
  return h("div", { class: "key-group" }, h("h3", {}, t(`keys.of_${part}`)), h("dl", {}, ...rows));
}

/** @param {string[]} keys @param {string} words */
function row(keys, words) {
  return [h("dt", {}, ...keys.flatMap((key, index) => [index ? " " : "", h("kbd", {}, key)])), h("dd", {}, t(words))];
}

/**
 * What a key does wherever the focus is, in a terminal too: only the arrangement of the page, with Alt.
 * @param {KeyboardEvent} event @returns {((page: import("./page.js").Page) => void) | null}
 */
export function ofPage(event) {
  if (event.metaKey || event.isComposing) return null;
  const held = (event.altKey ? "Alt " : "") + (event.ctrlKey ? "Ctrl " : "") + (event.shiftKey ? "Shift " : "");
  const found = EVERYWHERE[held + event.key] ?? EVERYWHERE[held + event.code];
  if (found || !held.startsWith("Alt ") || event.ctrlKey) return found ?? null;
  // The sign where the layout has it, with Shift or without; the place where Alt makes another letter of it (macOS).
  if (event.key === "+" || event.key === "=" || event.code === "Equal") return (page) => resize(page, 1);
  if (event.key === "-" || event.code === "Minus") return (page) => resize(page, -1);
  return null;
}

/** The letters of what has the focus: a terminal's or the text's. @param {import("./page.js").Page} _page @param {number} by */
function resize(_page, by) {
  const what = document.activeElement?.closest("#terminals") ? "terminal" : "text";
  setSize(what, size(what) + by);
}

/** @param {KeyboardEvent} event @param {import("./page.js").Page} page @param {HTMLDialogElement} dialog */
function onKey(event, page, dialog) {
  if (event.isComposing || event.keyCode === 229 || event.defaultPrevented || dialog.open) return;
  const everywhere = ofPage(event);
  const inTerminal = /** @type {Element} */ (event.target).closest?.(".screen");
  const act = everywhere ? () => everywhere(page) : inTerminal ? null : outside(event, page, dialog);
  if (!act) return;
  event.preventDefault();
  act();
}

/** @param {KeyboardEvent} event @param {import("./page.js").Page} page @param {HTMLDialogElement} dialog */
function outside(event, page, dialog) {
  if (event.key === "F6" && !event.ctrlKey && !event.altKey) return () => page.panes.walk(event.shiftKey ? -1 : 1);
  if (event.altKey && event.key === "PageDown") return () => page.course.move(1);
  if (event.altKey && event.key === "PageUp") return () => page.course.move(-1);
  if (event.ctrlKey && event.key === "/") return () => show(dialog);
  return null;
}
