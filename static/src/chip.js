/** The mark of a kind of namespace in running text: its letter, in its colour. */
import { h } from "./dom.js";
import { KINDS } from "./kinds.js";

/** @param {string} kind @param {boolean} [word] with the kind's name after the letter @returns {HTMLElement} */
export function chip(kind, word = false) {
  const letter = h("b", {}, KINDS[kind]?.letter ?? "?");
  return word
    ? h("span", { class: `ns ns-${kind}` }, letter, ` ${kind}`)
    : h("abbr", { class: `ns ns-${kind}`, title: kind }, letter);
}
