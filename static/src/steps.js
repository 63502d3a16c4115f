/**
 * One step of the lesson at a time: shows the open one, draws the marks in the header, and hands each step's parts to
 * their modules. `mount` is called again when the article is replaced by the other language.
 */
import { CheckList } from "./checks.js";
import { mountCommands } from "./commands.js";
import { h, icon, need } from "./dom.js";
import { drawFinish, watchFinish } from "./finish.js";
import { mountHelp } from "./help.js";
import { mountPredictions } from "./predict.js";
import { onLanguage, t } from "./strings.js";

export class Steps {
  /** @param {import("./page.js").Page} page */
  constructor(page) {
    this.page = page;
    this.course = page.course;
    /** @type {Map<string, CheckList>} */
    this.lists = new Map();
    this.course.addEventListener("step", () => this.show(true));
    this.course.addEventListener("progress", () => this.marks());
    this.course.addEventListener("checks", (event) => this.results(/** @type {CustomEvent} */ (event).detail));
    this.course.addEventListener("progress", (event) => this.results(/** @type {CustomEvent} */ (event).detail));
    watchFinish(this.course);
    onLanguage(() => this.marks());
    this.mount();
  }

  mount() {
    const article = need("#lesson");
    this.lists.clear();
    for (const section of article.querySelectorAll("section.step")) {
      const id = section.id.replace(/^step-/, "");
      const root = /** @type {HTMLElement} */ (section);
      mountCommands(root, this.page);
      mountPredictions(root, id, this.course);
      if (id === "outro") continue;
      mountHelp(root, id, this.page);
      const list = root.querySelector(".checks");
      if (list instanceof HTMLElement) this.lists.set(id, new CheckList(list, root, id, this.course));
      this.results(id);
    }
    for (const button of article.querySelectorAll("[data-move]"))
      button.addEventListener("click", () => this.course.move(Number(button.getAttribute("data-move"))));
    drawFinish(this.course);
    this.show(false);
  }

  /** @param {boolean} moved by the person: put the focus and the scroll where reading goes on */
  show(moved) {
    const { current } = this.course;
    for (const section of document.querySelectorAll("#lesson section.step")) {
      const here = section.id.replace(/^step-/, "") === current;
      section.toggleAttribute("hidden", !here);
      if (here && moved) {
        need("#text").scrollTop = 0;
        const heading = section.querySelector("h2");
        if (heading instanceof HTMLElement) heading.focus({ preventScroll: true });
      }
    }
    this.marks();
  }

  /** @param {string} id */
  results(id) {
    this.lists.get(id)?.show();
  }

  /** The row of marks: one link a step, its state as shape and word. */
  marks() {
    const { lesson, current } = this.course;
    const at = lesson.steps.findIndex((step) => step.id === current);
    need("#at").textContent = at >= 0 ? t("step.at", { at: at + 1, of: lesson.steps.length }) : t("step.end");
    const minutes = this.course.minutesLeft();
    need("#left").textContent = minutes ? t("step.left", { minutes }) : t("step.all_done");
    need("#marks").replaceChildren(
      ...lesson.steps.map((step, index) => {
        const state = this.course.isDone(step.id) ? "done" : index === at ? "here" : "open";
        const glyph = /** @type {const} */ ({ done: "circleCheck", here: "circleDot", open: "circle" })[state];
        const label = t("step.mark", { number: step.number, title: step.title, state: t(`step.${state}`) });
        const props = { href: `#step-${step.id}`, class: `mark ${state}`, "aria-label": label, title: label };
        return h("li", {}, h("a", { ...props, "aria-current": index === at ? "step" : null }, icon(glyph)));
      }),
    );
  }
}
