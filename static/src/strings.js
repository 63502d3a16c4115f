/**
 * The words of the page. The server gives every key `js.*` of the page's language in the boot data; the language switch
 * puts the other language's in their place, and everything that shows words is drawn again by its listener.
 */

/** @type {Record<string, string>} */
let strings = {};
let language = "en";
const changes = new EventTarget();

/**
 * @param {string} key without the leading `js.`
 * @param {Record<string, string | number>} [values] for the {placeholders}
 * @returns {string} the key itself when it is missing, so that a gap is seen and nothing breaks
 */
export function t(key, values = {}) {
  const text = strings[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function lang() {
  return language;
}

/** @param {string} name @param {Record<string, string>} words */
export function setStrings(name, words) {
  language = name;
  strings = words;
  document.documentElement.lang = name;
  translate(document);
  changes.dispatchEvent(new Event("change"));
}

/** @param {() => void} fn called after a change of language @returns {() => void} no longer */
export function onLanguage(fn) {
  changes.addEventListener("change", fn);
  return () => changes.removeEventListener("change", fn);
}

/**
 * Marks in the templates: data-t = text, data-t-label = accessible name and tooltip.
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]"))
    element.textContent = t(element.getAttribute("data-t") ?? "");
  for (const element of root.querySelectorAll("[data-t-label]")) {
    const text = t(element.getAttribute("data-t-label") ?? "");
    element.setAttribute("aria-label", text);
    if (!element.matches("main, section, nav, div, article")) element.setAttribute("title", text);
  }
}

/** @param {number} unix seconds @returns {string} the clock time in the page's language */
export function clock(unix) {
  return new Date(unix * 1000).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
}
