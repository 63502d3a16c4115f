/**
 * One sentence above the terminals when something is not as usual: no connection, the engine away, the lab being made,
 * about to pause, paused, ended, or a trouble the server told. What it means for the work, what happens next, and when.
 * The most pressing one is shown; no spinner, no dialog.
 */
import { h, icon, iconButton } from "./dom.js";
import { clock, onLanguage, t } from "./strings.js";

const IDLE_WARN_S = 5 * 60;
const END_WARN_S = 10 * 60;
/** A web restart takes less: nobody needs to read about it. */
const QUIET_MS = 700;

/** @typedef {{kind: "info" | "warn" | "bad", glyph: keyof typeof import("./icons.js").icons, text: string, action?: [string, () => void], close?: () => void}} Sentence */

export class LabLine {
  /** @param {HTMLElement} element @param {import("./page.js").Page} page */
  constructor(element, page) {
    this.element = element;
    this.page = page;
    /** @type {import("./types.js").Lab | null} */
    this.lab = null;
    this.offlineSince = 0;
    this.retryAt = 0;
    /** @type {{message: string, hint?: string} | null} */
    this.trouble = null;
    this.shown = "";
    const { connection } = page;
    connection.addEventListener("online", () => {
      this.offlineSince = 0;
      this.draw();
    });
    connection.addEventListener("offline", (event) => {
      this.offlineSince ||= Date.now();
      this.retryAt = /** @type {CustomEvent} */ (event).detail.retryAt;
    });
    connection.on("trouble", (trouble) => {
      const frame = page.deck.frames.get(trouble.terminal ?? "");
      if (frame) frame.say([trouble.message, trouble.hint].filter(Boolean).join(" "), "warn");
      else this.tell(trouble);
    });
    onLanguage(() => this.draw());
    setInterval(() => this.draw(), 1000);
  }

  /** @param {import("./types.js").Lab | null} lab */
  setLab(lab) {
    this.lab = lab;
    this.draw();
  }

  /** @param {{message: string, hint?: string}} trouble */
  tell(trouble) {
    this.trouble = trouble;
    this.draw();
  }

  draw() {
    const sentence = this.sentence();
    const key = sentence ? `${sentence.text}|${sentence.action?.[0]}` : "";
    if (key === this.shown) return;
    this.shown = key;
    this.element.hidden = !sentence;
    if (!sentence) return this.element.replaceChildren();
    const [word, act] = sentence.action ?? [];
    this.element.className = `lab-line ${sentence.kind}`;
    this.element.replaceChildren(
      icon(sentence.glyph),
      h("span", {}, sentence.text),
      ...(word && act ? [h("button", { type: "button", class: "primary", onclick: act }, word)] : []),
      ...(sentence.close ? [iconButton("x", t("close"), sentence.close)] : []),
    );
  }

  /** @returns {Sentence | null} */
  sentence() {
    return this.lostSentence() ?? this.troubleSentence() ?? this.stateSentence() ?? this.timeSentence();
  }

  /** @returns {Sentence | null} */
  lostSentence() {
    const { connection, engineUp } = this.page;
    if (!connection.online && this.offlineSince && Date.now() - this.offlineSince > QUIET_MS) {
      const seconds = Math.max(1, Math.ceil((this.retryAt - Date.now()) / 1000));
      return {
        kind: "bad",
        glyph: "unplug",
        text: t("line.lost", { seconds }),
        action: [t("line.lost_now"), () => connection.now()],
      };
    }
    if (connection.online && !engineUp) return { kind: "bad", glyph: "unplug", text: t("line.engine") };
    return null;
  }

  /** @returns {Sentence | null} */
  troubleSentence() {
    if (!this.trouble) return null;
    const text = [this.trouble.message, this.trouble.hint].filter(Boolean).join(" ");
    const close = () => {
      this.trouble = null;
      this.draw();
    };
    return { kind: "warn", glyph: "alert", text, close };
  }

  /** @returns {Sentence | null} */
  stateSentence() {
    const { lab, page } = this;
    if (page.labWanted) return { kind: "info", glyph: "hourglass", text: t("line.making") };
    if (!lab) return null;
    switch (lab.state) {
      case "creating":
        return {
          kind: "info",
          glyph: "hourglass",
          text: lab.progress ? `${t("line.making")} ${lab.progress}` : t("line.making"),
        };
      case "paused":
        return {
          kind: "warn",
          glyph: "circlePause",
          text: t("line.paused"),
          action: [t("line.resume"), () => page.labVerb("resume")],
        };
      case "ended":
        return {
          kind: "warn",
          glyph: "circleSlash",
          text: t("line.ended", { reason: lab.reason ?? "" }),
          action: [t("line.anew"), () => void page.wantLab()],
        };
      default:
        return null;
    }
  }

  /** @returns {Sentence | null} */
  timeSentence() {
    const { lab, page } = this;
    if (lab?.state !== "ready") return null;
    const now = Date.now() / 1000;
    const keep = /** @type {[string, () => void]} */ ([t("line.keep"), () => page.labVerb("extend")]);
    if (lab.ends_at && lab.ends_at - now < END_WARN_S)
      return { kind: "warn", glyph: "hourglass", text: t("line.ends", { time: clock(lab.ends_at) }), action: keep };
    if (lab.idle_ends_at && lab.idle_ends_at - now < IDLE_WARN_S)
      return {
        kind: "warn",
        glyph: "hourglass",
        text: t("line.idle", { time: clock(lab.idle_ends_at) }),
        action: keep,
      };
    return null;
  }
}
