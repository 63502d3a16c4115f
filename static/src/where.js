/**
 * "Where am I?": the line on each terminal's frame that says in which namespaces its foreground process really is, read
 * from the kernel, and the outline of the frame in the mark of the innermost difference.
 */
import { chip } from "./chip.js";
import { h, plain, svg } from "./dom.js";
import { KINDS, ordered } from "./kinds.js";
import { t } from "./strings.js";

export class WhereLine {
  constructor() {
    this.path = h("span", { class: "where-path" });
    this.process = h("span", { class: "where-process" });
    this.said = h("span", { class: "unseen" });
    this.tools = h("span", { class: "where-tools" });
    this.element = h("div", { class: "where" }, this.path, this.process, this.said, this.tools);
    this.rect = svg("rect", { class: "outline-rect" });
    this.inner = svg("rect", { class: "outline-rect inner" });
    this.outline = svg("svg", { class: "frame-outline", "aria-hidden": "true" }, this.rect, this.inner);
    /** @type {import("./types.js").Where | null} */
    this.where = null;
    this.show(null);
  }

  /** @param {import("./types.js").Where | null} where */
  show(where) {
    this.where = where;
    const path = where?.path ?? [];
    this.path.replaceChildren(
      ...path
        .flatMap((place, index) => [
          index > 0 ? h("span", { class: "where-arrow", "aria-hidden": "true" }, "▸") : null,
          h("span", { class: "where-label" }, plain(place.label, 32)),
          ...ordered(place.differs).map((kind) => chip(kind)),
        ])
        .filter((node) => node !== null),
    );
    this.process.textContent = this.processText();
    this.said.textContent = this.sentence();
    this.mark(where?.innermost ?? "");
  }

  processText() {
    const front = this.where?.foreground;
    if (!front) return this.where ? t("where.unreadable") : t("where.unknown");
    return `${plain(front.argv.join(" ").replace(/^\S*\/(?=\S)/, ""), 28)} · pid ${front.nspid.at(-1) ?? front.pid}`;
  }

  /** The same for those who do not see the chips. */
  sentence() {
    const kinds = ordered((this.where?.path ?? []).flatMap((place) => place.differs));
    if (!this.where) return "";
    return kinds.length ? t("where.own", { kinds: kinds.join(", ") }) : t("where.lab");
  }

  /** @param {string} kind "" = in the lab's own namespaces */
  mark(kind) {
    const mark = KINDS[kind];
    this.outline.setAttribute("class", `frame-outline${mark ? ` ns-line ns-${kind}` : ""}`);
    for (const rect of [this.rect, this.inner]) {
      rect.setAttribute("stroke-dasharray", mark?.dash || "none");
      rect.setAttribute("stroke-width", String(mark ? mark.width + 0.5 : 1));
    }
    this.inner.toggleAttribute("hidden", !mark?.double);
  }
}
