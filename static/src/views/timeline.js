/**
 * The timeline: the plan of the last `hako run` in this lab, step by step: when, how long, who took it, in which manual page it
 * stands, and one sentence. Bars are drawn on one scale of time, so what costs is seen. The table says the same in numbers.
 */
import { chip } from "../chip.js";
import { h, plain, svg } from "../dom.js";
import { lang, t } from "../strings.js";
import { LiveView, mapScale } from "./live.js";
import { viewTable } from "./parts.js";
import { milliseconds, spans } from "./timeline/spans.js";

/** @typedef {import("./timeline/spans.js").Plan} Plan */
/** @typedef {import("./timeline/spans.js").Span} Span */

/** In the order in which they come into it. */
const TAKERS = ["engine", "zygote", "child"];

export class TimelineView extends LiveView {
  /** @type {Plan | null} */
  plan = null;

  /** @override @param {string} name @param {any} data @returns {boolean} */
  told(name, data) {
    if (name !== "plan") return false;
    const first = this.plan === null && data.plan !== null && Date.now() / 1000 - data.plan.at > 60;
    this.plan = data.plan;
    if (this.plan && this.shown) this.said.textContent = this.title(this.plan);
    this.canvas.scrollTop = 0;
    this.draw();
    return this.plan !== null && !first;
  }

  /** @override @returns {boolean} nothing here comes from observations */
  show(/** @type {import("../types.js").Observation} */ observation) {
    this.seen = observation;
    return false;
  }

  /** @override @returns {string} */
  empty() {
    return this.plan ? "" : t("timeline.empty");
  }

  /** @override */
  draw() {
    this.seen ??= null;
    if (this.plan && !this.seen) this.seen = /** @type {any} */ ({});
    super.draw();
  }

  /** @param {Plan} plan */
  title(plan) {
    const { steps, total } = spans(plan);
    const of = {
      command: command(plan),
      steps: steps.length,
      time: milliseconds(total),
      number: (plan.failed ?? 0) + 1,
    };
    return t(plan.failed === null ? "timeline.title" : "timeline.failed", of);
  }

  /** @override */
  drawing() {
    const plan = /** @type {Plan} */ (this.plan);
    const { steps, total } = spans(plan);
    const width = Math.max(96, Math.round(this.canvas.clientWidth * 0.2));
    const list = h("ol", { class: "tl-steps", role: "tree", "aria-label": this.title(plan) });
    for (const span of steps) list.append(this.step(span, total, width));
    const legend = TAKERS.map((where) =>
      h(
        "span",
        {},
        svg("svg", { width: 14, height: 12, "aria-hidden": "true" }, bar(where, 1, 12, 12)),
        ` ${t(`timeline.by_${where}`)}`,
      ),
    );
    const head = h("p", { class: "tl-title" }, h("span", {}, this.title(plan)), ...legend);
    return h("div", { class: "tl" }, head, list);
  }

  /** @param {Span} span @param {number} total microseconds of the whole @param {number} width of the bars' column in px */
  step(span, total, width) {
    const { number, state, step } = span;
    const text = sentence(span);
    const took = duration(span);
    const item = {
      class: `tl-step ${state}`,
      role: "treeitem",
      tabindex: -1,
      "aria-level": 1,
      "data-key": `step:${number}`,
    };
    return h(
      "li",
      item,
      h("span", { class: "tl-number" }, String(number)),
      h("code", { class: "tl-kind" }, step.kind),
      this.bar(span, total, width),
      h("span", { class: "tl-time" }, state === "failed" ? `✕ ${took}` : took),
      h("span", { class: "unseen" }, t(`timeline.by_${step.where}`)),
      h("span", { class: "tl-text" }, ...step.kinds.map((kind) => chip(kind)), step.kinds.length ? " " : "", text),
      h("cite", { class: "tl-man" }, step.man),
    );
  }

  /** @param {Span} span @param {number} total @param {number} width */
  bar({ at, took, state, step }, total, width) {
    const height = Math.round(14 * mapScale());
    const x = total ? (at / total) * (width - 3) : 0;
    const long = total ? Math.max(2, (took / total) * (width - 3)) : 2;
    return svg(
      "svg",
      { class: "tl-bar", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      svg("line", { class: "tl-axis", x1: 0, x2: width, y1: height / 2, y2: height / 2 }),
      state === "timed" ? bar(step.where, x, long, height) : null,
    );
  }

  /** @override */
  table() {
    const plan = /** @type {Plan} */ (this.plan);
    const columns = ["number", "step", "by", "begins", "takes", "sentence", "man"];
    const body = spans(plan).steps.map((span) =>
      h(
        "tr",
        { class: span.state },
        h("td", { class: "number" }, String(span.number)),
        h("th", { scope: "row" }, span.step.kind),
        h("td", {}, t(`timeline.by_${span.step.where}`)),
        h("td", { class: "number" }, span.state === "timed" ? milliseconds(span.at) : "–"),
        h("td", { class: "number" }, duration(span)),
        h("td", {}, sentence(span)),
        h("td", {}, span.step.man),
      ),
    );
    const heads = columns.map((name) => t(`timeline.col_${name}`));
    return viewTable("tl-table", h("caption", { class: "tl-title" }, this.title(plan)), heads, body);
  }
}

/** Who took it is told by the filling. @param {string} where @param {number} x @param {number} width @param {number} height */
function bar(where, x, width, height) {
  return svg("rect", { class: `tl-span by-${where}`, x: x + 0.5, y: 1.5, width, height: height - 3 });
}

/** @param {Span} span @returns {string} */
function duration({ state, took }) {
  if (state === "timed") return milliseconds(took);
  return state === "taken" ? t("timeline.untimed") : t(state === "failed" ? "timeline.here" : "timeline.untaken");
}

/** In the reader's language; the words in it may be a learner's. @param {Span} span @returns {string} */
function sentence({ step }) {
  return plain(step.text[lang() === "ja" ? "ja" : "en"], 240);
}

/** @param {Plan} plan @returns {string} */
function command({ image, argv }) {
  return plain(["hako run", image, ...argv].join(" "), 60);
}
