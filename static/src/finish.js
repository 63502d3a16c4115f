/**
 * The end of a lesson: what one can now do, taken from what each step taught; how the predictions went; and a box, opened. At the
 * moment the last step is done its page says so. Nothing is counted that the kernel or the learner did not say.
 */
import { h, icon, svg } from "./dom.js";
import { t } from "./strings.js";

/** @param {import("./course.js").Course} course */
const allDone = (course) => course.doneCount() === course.lesson.steps.length;

/** The place for it in the article, which the other language replaces. @param {import("./course.js").Course} course @param {boolean} fresh it happened just now */
export function drawFinish(course, fresh = false) {
  const place = document.getElementById("finish");
  if (!place) return;
  place.classList.toggle("fresh", fresh);
  place.replaceChildren(...(allDone(course) ? done(course) : left(course)));
}

/** When the last step is done, the step that was the last to be done says it. @param {import("./course.js").Course} course */
export function watchFinish(course) {
  let before = allDone(course);
  course.addEventListener("progress", () => {
    const now = allDone(course);
    drawFinish(course, now && !before);
    if (now && !before) announce(course);
    before = now;
  });
}

/** @param {import("./course.js").Course} course */
function announce(course) {
  const section = document.querySelector("#lesson section.step:not([hidden])");
  const look = () => course.go("outro");
  const sentence = t("finish.now", { steps: course.lesson.steps.length });
  const said = h("p", { role: "status" });
  const news = h(
    "div",
    { class: "finished" },
    box(),
    said,
    h("button", { type: "button", class: "primary", onclick: look }, t("finish.look"), " ▸"),
  );
  section?.querySelector("nav.turn")?.before(news);
  said.append(h("b", {}, sentence)); // after it is in the page: a screen reader says what changes in a status
  news.scrollIntoView({ block: "nearest" });
}

/** @param {import("./course.js").Course} course */
function done(course) {
  const learnt = course.lesson.steps.flatMap(({ id }) => {
    const line = document.querySelector(`#step-${CSS.escape(id)} .learnt`);
    if (!line) return [];
    const nodes = [...line.childNodes].filter((node, index) => !(index === 0 && node.nodeName === "B"));
    return [h("li", {}, icon("check"), h("span", {}, ...nodes.map((node) => node.cloneNode(true))))];
  });
  return [
    h("div", { class: "finish-head" }, box(), h("p", {}, t("finish.done", { steps: course.lesson.steps.length }))),
    h("h3", {}, t("finish.can")),
    h("ul", { class: "finish-can" }, ...learnt),
    h("p", { class: "finish-facts" }, facts(course).join(" · ")),
  ];
}

/** @param {import("./course.js").Course} course */
function facts(course) {
  const { steps } = course.lesson;
  const asked = steps.flatMap((step) => (step.predictions ?? []).map((one) => ({ step: step.id, ...one })));
  const answered = asked.filter((one) => course.of(one.step).predicted?.[one.id]);
  const right = answered.filter((one) => one.right.includes(course.of(one.step).predicted?.[one.id] ?? ""));
  const hints = steps.reduce((sum, step) => sum + (course.of(step.id).hints ?? 0), 0);
  const shown = steps.filter((step) => course.of(step.id).shown).length;
  return [
    ...(answered.length ? [t("finish.predicted", { right: right.length, of: answered.length })] : []),
    hints || shown ? t("finish.helped", { hints, shown }) : t("finish.alone"),
  ];
}

/** @param {import("./course.js").Course} course */
function left(course) {
  const open = course.lesson.steps.filter((step) => !course.isDone(step.id));
  const link = (/** @type {{id: string, number: number, title: string}} */ step) =>
    h("li", {}, h("a", { href: `#step-${step.id}` }, `${step.number} ${step.title}`));
  return [h("p", {}, t("finish.left")), h("ul", { class: "finish-left" }, ...open.map(link))];
}

/** A box in a box whose lid is up: the sign of the page, opened. */
function box() {
  const line = (/** @type {string} */ path, /** @type {string} */ name) =>
    svg("path", { d: path, class: name, pathLength: 1 });
  return svg(
    "svg",
    { class: "opened", viewBox: "0 0 72 64", "aria-hidden": "true" },
    line("M10 26 V58 H62 V26 Z", "outer"),
    line("M10 26 L2 14 H28", "outer lid"),
    line("M62 26 L70 14 H44", "outer lid"),
    line("M26 34 H46 V50 H26 Z", "inner"),
    line("M36 24 V6 M29 12 L36 5 L43 12", "inner"),
  );
}
