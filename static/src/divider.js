/**
 * A divider that moves: by mouse, by touch, and by keys when it has the focus (arrows, with Shift in larger steps, Home and
 * End to the limits, Enter or a double click back to where it began). Remembered per name. ARIA: separator, "window splitter".
 */
import { h } from "./dom.js";
import { prefs, setPrefs } from "./prefs.js";
import { onLanguage, t } from "./strings.js";

export class Divider {
  /**
   * @param {{name: string, axis: "x" | "y", of: HTMLElement, property?: string, least: number, most: number, start: number, controls?: string, reverse?: boolean, value?: number, moved?: (percent: number, keep: boolean) => void}} made
   *   axis: x = it stands and moves sideways; of: the element whose extent is 100 %, or `box` of it; property: the custom
   *   property that gets the value; reverse: the value is the part after it; moved: told instead, with the first value `value`
   */
  constructor(made) {
    this.made = made;
    /** the part of `of` that it divides, in percent */
    this.box = { x: 0, y: 0, width: 100, height: 100 };
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
    this.forget = onLanguage(label);
    label();
    if (made.moved) this.show(made.value ?? made.start);
    else this.set(prefs.dividers[made.name] ?? made.start, false);
  }

  /** @param {number} percent */
  show(percent) {
    this.value = percent;
    this.element.setAttribute("aria-valuenow", String(Math.round(percent)));
  }

  dispose() {
    this.forget();
    this.element.remove();
  }

  /** @param {number} percent @param {boolean} [keep] */
  set(percent, keep = true) {
    const { least, most, of, property, name, moved } = this.made;
    const value = Math.round(Math.min(most, Math.max(least, percent)) * 10) / 10;
    this.show(value);
    if (moved) return moved(value, keep);
    of.style.setProperty(property ?? "", `${value}%`);
    if (keep) setPrefs({ dividers: { ...prefs.dividers, [name]: value } });
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.element.focus();
    this.element.setPointerCapture(event.pointerId);
    document.documentElement.classList.add(`moving-${this.made.axis}`);
    const move = (/** @type {PointerEvent} */ at) => {
      const all = this.made.of.getBoundingClientRect();
      const { x, y, width, height } = this.box;
      const part =
        this.made.axis === "x"
          ? (at.clientX - all.left - (all.width * x) / 100) / ((all.width * width) / 100)
          : (at.clientY - all.top - (all.height * y) / 100) / ((all.height * height) / 100);
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
