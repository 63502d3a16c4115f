/**
 * Keys of a tree (ARIA APG, "Tree View"): up and down along what is seen, left to the parent, right into it, Home and End. One item
 * has tabindex 0; it is found again by its key after the drawing was made anew.
 */

export class TreeKeys {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.at = "";
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("focusin", (event) => this.remember(/** @type {Element} */ (event.target)));
  }

  /** @returns {(HTMLElement | SVGElement)[]} */
  items() {
    return [...this.root.querySelectorAll("[role=treeitem]")].filter(canFocus);
  }

  /** @param {Element} target */
  remember(target) {
    const item = target.closest("[role=treeitem]");
    if (!item) return;
    this.at = item.getAttribute("data-key") ?? "";
    this.rove();
  }

  rove() {
    const items = this.items();
    const here = items.find((item) => item.getAttribute("data-key") === this.at) ?? items[0];
    for (const item of items) item.setAttribute("tabindex", item === here ? "0" : "-1");
    return here;
  }

  /** Draws anew without losing the focus. @param {() => void} draw */
  keep(draw) {
    const had = this.root.contains(document.activeElement);
    draw();
    const here = this.rove();
    if (had) here?.focus({ preventScroll: true });
  }

  focus() {
    this.rove()?.focus();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const items = this.items();
    const at = items.indexOf(/** @type {SVGElement} */ (document.activeElement));
    if (at < 0) return;
    const to = {
      ArrowDown: items[at + 1],
      ArrowUp: items[at - 1],
      Home: items[0],
      End: items.at(-1),
      ArrowLeft: items
        .slice(0, at)
        .reverse()
        .find((item) => level(item) < level(items[at])),
      ArrowRight: items[at + 1] && level(items[at + 1]) > level(items[at]) ? items[at + 1] : undefined,
    }[event.key];
    if (!(event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End")) return;
    event.preventDefault();
    to?.focus();
  }
}

/** Items stand in one another, or one below the other: their level says what belongs to what. @param {Element} item */
function level(item) {
  return Number(item.getAttribute("aria-level"));
}

/** @param {Element} item @returns {item is HTMLElement | SVGElement} */
function canFocus(item) {
  return item instanceof SVGElement || item instanceof HTMLElement;
}
