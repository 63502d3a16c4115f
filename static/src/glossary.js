/**
 * The pop-up of a word in the text: the word, the other language's word, one sentence. One card for all of them: native popover,
 * so Esc and a press elsewhere close it. It takes the focus, so that a screen reader says it and Esc leads back to the word.
 */
import { h } from "./dom.js";
import { lang, t } from "./strings.js";

/** @type {NonNullable<import("./types.js").Boot["glossary"]>} */
let words = {};
let url = "";
const GAP = 8;

/** The words of the page's language. @param {import("./types.js").Boot} boot */
export function setGlossary(boot) {
  words = boot.glossary ?? {};
  url = boot.glossary_url ?? "";
}

/** @param {import("./types.js").Boot} boot */
export function mountGlossary(boot) {
  setGlossary(boot);
  const card = h("div", { class: "term-card", popover: "auto", role: "dialog", tabindex: -1 });
  document.body.append(card);
  /** the word it speaks of @type {HTMLElement | null} */
  let word = null;
  card.addEventListener("beforetoggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "open") return;
    word?.setAttribute("aria-expanded", "false");
    word = null;
  });
  /** The word whose card this press closes, by being elsewhere than on the card: its click must not open it again. @type {Element | null} */
  let closing = null;
  document.addEventListener("pointerdown", (event) => {
    const pressed = /** @type {Element} */ (event.target).closest?.(".term");
    closing = pressed && pressed === word ? pressed : null;
  });
  document.getElementById("text")?.addEventListener("scroll", () => card.hidePopover());
  document.addEventListener("click", (event) => {
    const pressed = /** @type {HTMLElement | null} */ (
      /** @type {Element} */ (event.target).closest?.(".term[data-term]") ?? null
    );
    if (!pressed) return;
    const entry = words[pressed.dataset.term ?? ""];
    if (!entry || pressed === closing) {
      closing = null;
      return card.hidePopover();
    }
    fill(card, pressed.dataset.term ?? "", entry);
    pressed.focus(); // where the focus goes back to; Safari gives it to no button that is clicked
    card.showPopover();
    word = pressed;
    pressed.setAttribute("aria-expanded", "true");
    place(card, pressed);
    card.focus({ preventScroll: true });
  });
}

/** @param {HTMLElement} card @param {string} id @param {{word: string, other: string, says: string}} entry */
function fill(card, id, { word, other, says }) {
  card.setAttribute("aria-label", word);
  const twin = other === word ? null : h("span", { lang: lang() === "ja" ? "en" : "ja" }, other);
  card.replaceChildren(
    h("p", { class: "term-word" }, h("b", {}, word), twin),
    h("p", {}, says),
    h("p", { class: "term-all" }, h("a", { href: `${url}#term-${id}`, target: "_blank" }, t("glossary.all"))),
  );
}

/** Below the word, or above where there is no room; never over the edge. @param {HTMLElement} card @param {HTMLElement} word */
function place(card, word) {
  const [at] = word.getClientRects();
  const { width, height } = card.getBoundingClientRect();
  const left = Math.max(12, Math.min(at.left, innerWidth - width - 12));
  const below = at.bottom + GAP + height < innerHeight;
  card.style.left = `${left}px`;
  card.style.top = `${below ? at.bottom + GAP : Math.max(12, at.top - GAP - height)}px`;
}
