/**
 * A divider that moves: by mouse, by touch, and by keys when it has the focus (arrows, with Shift in larger steps, Home and
 * End to the limits, Enter or a double click back to where it began). Remembered per name. ARIA: separator, "window splitter".
 */
import { h } from "./dom.js";
import { prefs, setPrefs } from "./prefs.js";
import { onLanguage, t } from "./strings.js";

export class Divider {
  /**
   * @param {{name: string, axis: "x" | "y", of: HTMLElement, property: string, least: number, most: number, start: number, controls?: string, reverse?: boolean}} made
   *   axis: x = it stands and moves sideways; of: the element whose extent is 100 %; reverse: the value is the part after it
   */
  constructor(made) {
    this.made = made;
    const orientation = made.axis === "x" ? "vertical" : "horizontal";
    this.element = h("div", {
      class: `divider divider-${made.axis}`,
      role: "separator",
      tabindex: 0,
      "aria-orientation": orientation,
      "aria-valuemin": made.least,
      "aria-valuemax": made.most,
      "aria-controls": made.controls,
    });
    this.element.addEventListener("pointerdown", (event) => this.grab(event));
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("dblclick", () => this.set(made.start));
    const label = () => this.element.setAttribute("aria-label", t(`divider.${made.name}`));
    onLanguage(label);
    label();
    this.set(prefs.dividers[made.name] ?? made.start, false);
  }

  /** @param {number} percent @param {boolean} [keep] */
  set(percent, keep = true) {
    const { least, most, of, property, name } = this.made;
    this.value = Math.round(Math.min(most, Math.max(least, percent)) * 10) / 10;
    of.style.setProperty(property, `${this.value}%`);
    this.element.setAttribute("aria-valuenow", String(Math.round(this.value)));
    if (keep) setPrefs({ dividers: { ...prefs.dividers, [name]: this.value } });
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.element.focus();
    this.element.setPointerCapture(event.pointerId);
    document.documentElement.classList.add(`moving-${this.made.axis}`);
    const move = (/** @type {PointerEvent} */ at) => {
      const box = this.made.of.getBoundingClientRect();
      const part = this.made.axis === "x" ? (at.clientX - box.left) / box.width : (at.clientY - box.top) / box.height;
      this.set(100 * (this.made.reverse ? 1 - part : part), false);
    };
    const drop = () => {
      this.element.removeEventListener("pointermove", move);
      document.documentElement.classList.remove(`moving-${this.made.axis}`);
      this.set(/** @type {number} */ (this.value));
    };
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("lostpointercapture", drop, { once: true });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { axis, least, most, start, reverse } = this.made;
    const value = /** @type {number} */ (this.value);
    const step = (event.shiftKey ? 10 : 2) * (reverse ? -1 : 1);
    const [less, more] = axis === "x" ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    const to = { [less]: value - step, [more]: value + step, Home: least, End: most, Enter: start }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.set(to);
  }
}
