/**
 * Puts the frames of the terminals where the tree of splits says, with a divider at each fork; remembers the tree. On a phone
 * one terminal is shown whatever the tree is. Frames never change their parent: a terminal that is moved in the page loses its scroll.
 */
import { Divider } from "./divider.js";
import { prefs, setPrefs } from "./prefs.js";
import { exchange, LEAST, leaf, move, only, places, SHOWN_MOST, shown, sound, split } from "./splits.js";

const GAP = 9;
const narrow = matchMedia("(max-width: 720px)");

export class Arrangement {
  /** @param {HTMLElement} panels @param {() => void} changed */
  constructor(panels, changed) {
    this.panels = panels;
    this.changed = changed;
    /** null while there is no terminal @type {import("./splits.js").Tree | null} */
    this.tree = null;
    /** by the path and axis of their fork: the one that is being moved must stay the same element @type {Map<string, Divider>} */
    this.dividers = new Map();
    narrow.addEventListener("change", () => changed());
  }

  /** @param {string} active @returns {string[]} */
  names(active) {
    if (narrow.matches || !this.tree) return active ? [active] : [];
    return shown(this.tree);
  }

  get full() {
    return this.tree !== null && shown(this.tree).length >= SHOWN_MOST;
  }

  /** A terminal comes to be seen: where it is, else in the place of the active one. @param {string} name @param {string} active */
  show(name, active) {
    if (!this.tree) this.tree = leaf(name);
    else if (!shown(this.tree).includes(name)) this.keep(exchange(this.tree, active, name));
  }

  /** @param {string} at @param {"x" | "y"} axis @param {string} name */
  split(at, axis, name) {
    if (this.tree) this.keep(split(this.tree, at, axis, name));
  }

  /** @param {string[]} names those that may stay; none left = the first of them */
  only(names) {
    if (this.tree) this.keep(only(this.tree, (name) => names.includes(name)) ?? (names[0] ? leaf(names[0]) : null));
  }

  /** As it was when the page was last open, if those terminals are there. @param {string[]} names */
  recall(names) {
    const kept = sound(prefs.splits);
    if (kept && shown(kept).every((name) => names.includes(name))) this.tree = kept;
  }

  /** @param {import("./splits.js").Tree | null} tree */
  keep(tree) {
    this.tree = tree;
    setPrefs({ splits: tree });
  }

  /** @param {Map<string, import("./frame.js").Frame>} frames @param {string} active */
  place(frames, active) {
    const one = narrow.matches || !this.tree;
    const spots = one ? places(leaf(active)) : places(/** @type {import("./splits.js").Tree} */ (this.tree));
    for (const frame of frames.values()) {
      const box = spots.frames.get(frame.name);
      if (box) put(frame.element, box);
      frame.element.classList.toggle("active", frame.name === active && spots.frames.size > 1);
      frame.show(box !== undefined);
    }
    this.panels.classList.toggle("several", spots.frames.size > 1);
    this.divide(spots.forks);
  }

  /** @param {{path: string, axis: "x" | "y", share: number, box: import("./splits.js").Box}[]} forks */
  divide(forks) {
    const wanted = new Map(forks.map((fork) => [`${fork.path}${fork.axis}`, fork]));
    for (const [key, divider] of this.dividers)
      if (!wanted.has(key)) {
        divider.dispose();
        this.dividers.delete(key);
      }
    for (const [key, fork] of wanted) {
      const divider = this.dividers.get(key) ?? this.make(key, fork);
      divider.box = fork.box;
      divider.show(fork.share);
      const { style } = divider.element;
      const { x, y, width, height } = fork.box;
      const across = fork.axis === "x";
      style.left = across ? `calc(${x + (width * fork.share) / 100}% - ${GAP / 2}px)` : `${x}%`;
      style.top = across ? `${y}%` : `calc(${y + (height * fork.share) / 100}% - ${GAP / 2}px)`;
      style.width = across ? `${GAP}px` : `${width}%`;
      style.height = across ? `${height}%` : `${GAP}px`;
    }
  }

  /** @param {string} key @param {{path: string, axis: "x" | "y", share: number}} fork */
  make(key, { path, axis, share }) {
    const divider = new Divider({
      name: axis === "x" ? "beside" : "below",
      axis,
      of: this.panels,
      least: LEAST,
      most: 100 - LEAST,
      start: 50,
      value: share,
      moved: (value, keep) => {
        if (!this.tree) return;
        this.tree = move(this.tree, path, value);
        if (keep) this.keep(this.tree);
        this.changed();
      },
    });
    this.dividers.set(key, divider);
    this.panels.append(divider.element);
    return divider;
  }
}

/** @param {HTMLElement} element @param {import("./splits.js").Box} box in percent of the panels */
function put({ style }, { x, y, width, height }) {
  const [left, top] = [x > 0.01 ? GAP / 2 : 0, y > 0.01 ? GAP / 2 : 0];
  const [right, bottom] = [x + width < 99.99 ? GAP / 2 : 0, y + height < 99.99 ? GAP / 2 : 0];
  style.left = `calc(${x}% + ${left}px)`;
  style.top = `calc(${y}% + ${top}px)`;
  style.width = `calc(${width}% - ${left + right}px)`;
  style.height = `calc(${height}% - ${top + bottom}px)`;
}
