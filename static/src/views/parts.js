/** What drawings and tables of the live views have in common: the tree that keys walk, and the table beside it. */
import { h, svg } from "../dom.js";

/**
 * An empty drawing, whose items TreeKeys walks.
 * @param {string} name its class, beside `map` @param {string} label @param {number} width @param {number} height
 * @param {number} scale see mapScale in live.js
 */
export function mapTree(name, label, width, height, scale) {
  return svg("svg", {
    class: name ? `map ${name}` : "map",
    role: "tree",
    "aria-label": label,
    width: Math.floor(width * scale),
    height: Math.ceil(height * scale),
    viewBox: `0 0 ${width} ${height}`,
  });
}

/**
 * @param {string} name its class, beside `ns-table` @param {HTMLElement} caption @param {string[]} heads
 * @param {Parameters<typeof h>[2][]} body rows
 */
export function viewTable(name, caption, heads, body) {
  return h(
    "table",
    { class: name ? `ns-table ${name}` : "ns-table" },
    caption,
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...body),
  );
}
