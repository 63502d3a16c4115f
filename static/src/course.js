/**
 * Where a person is in the lesson: the open step (also the address's hash) and what is known of each step. Holds no DOM of
 * its own; the parts of the page listen to `step`, `checks` and `progress`. Local choices are POSTed, the kernel's verdicts
 * arrive by the socket, and a page that is loaded again starts from what the server kept.
 */

const OUTRO = "outro";

export class Course extends EventTarget {
  /** @param {import("./types.js").Boot} boot @param {import("./api.js").Api} api */
  constructor(boot, api) {
    super();
    const lesson = /** @type {NonNullable<import("./types.js").Boot["lesson"]>} */ (boot.lesson);
    this.api = api;
    this.lesson = lesson;
    /** @type {Record<string, import("./types.js").StepProgress>} */
    this.progress = structuredClone(boot.progress?.steps ?? {});
    /** @type {Map<string, Map<string, import("./types.js").CheckResult>>} */
    this.results = new Map();
    /** ids in reading order; the end of the lesson is a place too */
    this.places = [...lesson.steps.map((step) => step.id), OUTRO];
    this.current = this.fromHash() ?? this.resumeAt();
    // The address always names the step, so that the browser's back button finds the way. Not before the page is loaded:
    // then the browser would go to that anchor, and the first Tab from there and not from the top of the page.
    const name = () => history.replaceState(null, "", this.hash(this.current));
    if (document.readyState === "complete") name();
    else addEventListener("load", () => setTimeout(name), { once: true });
    addEventListener("hashchange", () => this.go(this.fromHash() ?? this.current, false));
  }

  /** @returns {string | null} */
  fromHash() {
    const id = location.hash.replace(/^#(step-)?/, "");
    return this.places.includes(id) ? id : null;
  }

  /** @param {string} id */
  hash(id) {
    return `#${id === OUTRO ? OUTRO : `step-${id}`}`;
  }

  /** The first step that is not done, if some are. */
  resumeAt() {
    return this.lesson.steps.find((step) => !this.isDone(step.id))?.id ?? this.places[0];
  }

  /** @param {string} id @param {boolean} [write] put it in the address */
  go(id, write = true) {
    if (!this.places.includes(id)) return;
    const moved = id !== this.current;
    this.current = id;
    if (write && moved) history.pushState(null, "", this.hash(id));
    if (moved) this.dispatchEvent(new Event("step"));
  }

  /** @param {number} by */
  move(by) {
    const id = this.places[this.places.indexOf(this.current) + by];
    if (id) this.go(id);
  }

  get step() {
    return this.lesson.steps.find((step) => step.id === this.current);
  }

  /** @param {string} id */
  of(id) {
    this.progress[id] ??= {};
    return this.progress[id];
  }

  /** @param {string} id */
  isDone(id) {
    return Boolean(this.progress[id]?.done);
  }

  doneCount() {
    return this.lesson.steps.filter((step) => this.isDone(step.id)).length;
  }

  /** Minutes that the steps not yet done should take. */
  minutesLeft() {
    const { minutes, steps } = this.lesson;
    return Math.ceil((minutes * (steps.length - this.doneCount())) / Math.max(1, steps.length));
  }

  /** @param {{step: string, results: import("./types.js").CheckResult[]}} told */
  checked({ step, results }) {
    this.results.set(step, new Map(results.map((result) => [result.id, result])));
    this.dispatchEvent(new CustomEvent("checks", { detail: step }));
  }

  /** The kernel says that the step is done. @param {{step: string, progress?: import("./types.js").StepProgress}} told */
  finished({ step, progress }) {
    this.progress[step] = { ...this.of(step), ...progress, done: true };
    this.dispatchEvent(new CustomEvent("progress", { detail: step }));
  }

  /**
   * A choice made here: shown at once, kept by the server when it can. If it cannot, the page has it till it is closed.
   * @param {string} step @param {"predicted" | "hint" | "shown" | "quiz"} kind @param {any} value
   */
  note(step, kind, value) {
    const progress = this.of(step);
    if (kind === "predicted") progress.predicted = { ...progress.predicted, ...value };
    if (kind === "quiz") progress.quiz = { ...progress.quiz, ...value };
    if (kind === "hint") progress.hints = value;
    if (kind === "shown") progress.shown = true;
    this.dispatchEvent(new CustomEvent("progress", { detail: step }));
    this.api.progress(this.lesson.id, step, kind, value).catch(() => {});
  }
}
