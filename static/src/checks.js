/**
 * The checks of a step: a short list, each line an icon, a word and a sentence. What the kernel showed instead (saw) and
 * what to try are sentences of the server in the page's language, with marks in them. A step that is done says what was learnt.
 */
import { h, icon, sentence } from "./dom.js";
import { t } from "./strings.js";

const GLYPHS = /** @type {const} */ ({ open: "circle", other: "circleDot", done: "circleCheck", broken: "alert" });

export class CheckList {
  /**
   * @param {HTMLElement} list @param {HTMLElement} section @param {string} step
   * @param {import("./course.js").Course} course
   */
  constructor(list, section, step, course) {
    this.step = step;
    this.course = course;
    this.learnt = /** @type {HTMLElement | null} */ (section.querySelector(".learnt"));
    this.items = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[data-check]")]).map((item) => ({
      item,
      id: item.dataset.check ?? "",
      state: item.appendChild(h("span", { class: "check-state" })),
      more: item.appendChild(h("div", { class: "check-more" })),
    }));
    for (const { item, state } of this.items) item.prepend(state);
    this.show();
  }

  /** What is known: the last verdict of the kernel; before one, what was kept. @param {string} id */
  verdict(id) {
    const kept = this.course.of(this.step);
    const now = this.course.results.get(this.step)?.get(id);
    // Done stays done: a learner who tidies up after a step does not lose it.
    if (kept.done || kept.checks?.[id]) return { state: /** @type {const} */ ("done"), saw: "", try: "" };
    return { state: now?.state ?? /** @type {const} */ ("open"), saw: now?.saw ?? "", try: now?.try ?? "" };
  }

  show() {
    for (const { item, id, state, more } of this.items) {
      const verdict = this.verdict(id);
      if (item.dataset.state === verdict.state && item.dataset.said === verdict.saw + verdict.try && state.firstChild)
        continue;
      item.dataset.state = verdict.state;
      item.dataset.said = verdict.saw + verdict.try;
      state.replaceChildren(icon(GLYPHS[verdict.state]), h("span", {}, t(`check.${verdict.state}`)));
      more.replaceChildren(
        ...(verdict.saw ? [h("p", {}, h("b", {}, t("check.saw")), " ", ...sentence(verdict.saw))] : []),
        ...(verdict.try ? [h("p", {}, h("b", {}, t("check.try")), " ", ...sentence(verdict.try))] : []),
      );
    }
    if (this.learnt) this.learnt.hidden = !this.course.isDone(this.step);
  }
}
