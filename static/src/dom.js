/**
 * The few lines that stand where a framework would: make an element, make an SVG element, put an icon.
 * Text always goes in as a text node, so nothing that comes from the kernel (a host name, argv, a mount path) can
 * become markup. There is no way to pass HTML here, on purpose.
 */
import { icons } from "./icons.js";

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [props] `onclick` etc. are listeners, `class` and the rest attributes; true = present, false/null = absent
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  apply(element, props);
  element.append(...nodes(children));
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Child | Child[])} children
 * @returns {SVGElement}
 */
export function svg(tag, props = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag));
  apply(element, props);
  element.append(...nodes(children));
  return element;
}

/** @param {Element} element @param {Record<string, any>} props */
function apply(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
function nodes(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** @type {Map<string, Element>} */
const parsed = new Map();

/**
 * A Lucide icon, hidden from screen readers: the word beside it or the button's label is its name.
 * @param {keyof typeof icons} name
 * @returns {Element}
 */
export function icon(name) {
  let master = parsed.get(name);
  if (!master) {
    master = new DOMParser().parseFromString(icons[name], "image/svg+xml").documentElement;
    master.setAttribute("class", "icon");
    master.setAttribute("aria-hidden", "true");
    master.setAttribute("stroke-width", "1.5");
    parsed.set(name, master);
  }
  return /** @type {Element} */ (document.importNode(master, true));
}

/**
 * @param {keyof typeof icons} glyph
 * @param {string} label said by screen readers and shown as the tooltip
 * @param {(event: MouseEvent) => void} onclick
 * @param {Record<string, any>} [props]
 */
export function iconButton(glyph, label, onclick, props = {}) {
  const extra = props.class ? ` ${props.class}` : "";
  const rest = { type: "button", ...props, class: `tool${extra}`, "aria-label": label, title: label, onclick };
  return h("button", rest, icon(glyph));
}

/** The words and the state of a button that stays. @param {Element} button @param {string} label @param {boolean} [pressed] */
export function relabel(button, label, pressed) {
  button.setAttribute("aria-label", label);
  button.setAttribute("title", label);
  if (pressed !== undefined) button.setAttribute("aria-pressed", String(pressed));
}

/** @param {string} selector @param {ParentNode} [root] @returns {HTMLElement} throws when the template lacks it */
export function need(selector, root = document) {
  const element = root.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`The page has no ${selector}`);
  return element;
}

/** @param {string} text control characters out, at most `max` characters: for titles and argv @param {number} [max] */
export function plain(text, max = 80) {
  const clean = text.replace(/\p{Cc}+/gu, " ").trim();
  return clean.length > max ? `${clean.slice(0, max - 1)}…` : clean;
}

const INLINE = new Set(["B", "STRONG", "EM", "I", "CODE", "KBD", "SPAN", "BR", "P"]);

/**
 * A sentence the server marked up (code, namespace chips), as nodes. The server escapes what it quotes from the kernel; this
 * is the second lock: only these elements, only the classes of namespace marks, no other attribute.
 * @param {string} html @returns {Node[]}
 */
export function sentence(html) {
  const body = new DOMParser().parseFromString(html, "text/html").body;
  return [...body.childNodes].flatMap(allowed);
}

/** @param {Node} node @returns {Node[]} */
function allowed(node) {
  if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.textContent ?? "")];
  if (!(node instanceof Element)) return [];
  const inside = [...node.childNodes].flatMap(allowed);
  if (!INLINE.has(node.tagName)) return inside;
  const copy = document.createElement(node.tagName === "P" ? "span" : node.tagName);
  const classes = [...node.classList].filter((name) => /^ns(-[a-z]+)?$/.test(name));
  if (classes.length) copy.className = classes.join(" ");
  copy.append(...inside);
  return [copy];
}
