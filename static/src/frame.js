/**
 * The frame round one terminal: the where line above, the screen, and below it a strip that holds at most one thing at a
 * time: the search, the question before a paste of many lines, or a sentence (typed in vain, the shell ended).
 */
import { h, icon, iconButton, plain } from "./dom.js";
import { t } from "./strings.js";
import { LabTerminal } from "./terminal.js";
import { colour } from "./theme.js";
import { WhereLine } from "./where.js";

export class Frame {
  /**
   * @param {string} name
   * @param {import("./connection.js").Connection} connection
   * @param {{leave: () => void, close: (name: string) => void}} deck
   */
  constructor(name, connection, deck) {
    this.name = name;
    this.deck = deck;
    this.where = new WhereLine();
    this.where.tools.append(h("span", { class: "where-name", "aria-hidden": "true" }, name)); // its tab says it, too
    this.screen = h("div", { class: "screen" });
    this.strip = h("div", { class: "strip", hidden: true });
    const props = { class: "frame", role: "tabpanel", id: `frame-${name}`, "aria-labelledby": `tab-${name}` };
    this.element = h("div", props, this.where.outline, this.where.element, this.screen, this.strip);
    /** of a shell that is gone; its status is null when nobody knows it (the lab was reset) @type {{status: number | null} | null} */
    this.ended = null;
    this.connection = connection;
  }

  /** xterm.js measures letters, so the frame has to be in the page first. */
  open() {
    this.terminal = new LabTerminal({ name: this.name, connection: this.connection, mount: this.screen });
    const { terminal } = this;
    terminal.addEventListener("leave", () => this.deck.leave());
    terminal.addEventListener("find", () => this.find());
    terminal.addEventListener("unsent", () => this.say(t("terminal.unsent"), "warn"));
    terminal.addEventListener("link", (event) => this.offer(/** @type {CustomEvent} */ (event).detail));
    terminal.addEventListener("paste", (event) => this.askPaste(/** @type {CustomEvent} */ (event).detail));
    terminal.term.textarea?.setAttribute("aria-label", t("terminal.label", { name: this.name }));
    terminal.term.textarea?.setAttribute("aria-describedby", "escape");
    return terminal;
  }

  /** @param {boolean} shown */
  show(shown) {
    this.element.toggleAttribute("data-hidden", !shown);
    this.element.inert = !shown;
    if (shown) requestAnimationFrame(() => this.terminal?.refit());
  }

  /** @param {...(Node | string)} content */
  fill(...content) {
    clearTimeout(this.timer);
    this.strip.replaceChildren(...content);
    this.strip.hidden = false;
  }

  empty(focus = true) {
    this.strip.hidden = true;
    this.strip.replaceChildren();
    if (focus) this.terminal?.term.focus();
  }

  /** @param {string} sentence @param {"warn" | "info"} [kind] @param {number} [ms] gone after, 0 = stays */
  say(sentence, kind = "info", ms = 5000) {
    const glyph = kind === "warn" ? "alert" : "info";
    this.fill(h("p", { class: `said ${kind}`, role: "status" }, icon(glyph), sentence));
    if (ms) this.timer = setTimeout(() => this.empty(false), ms);
  }

  find() {
    const { terminal } = this;
    if (!terminal) return;
    const count = h("output", { class: "find-count" });
    const marks = { matchOverviewRuler: "", activeMatchColorOverviewRuler: "" };
    const decorations = { ...marks, matchBackground: hex("--find"), activeMatchBackground: hex("--find-active") };
    const input = h("input", { type: "search", "aria-label": t("terminal.find"), placeholder: t("terminal.find") });
    const seek = (/** @type {boolean} */ back, incremental = false) => {
      const found = back
        ? terminal.search.findPrevious(input.value, { decorations })
        : terminal.search.findNext(input.value, { decorations, incremental });
      if (!found) count.textContent = input.value ? t("terminal.find_none") : "";
    };
    const results = terminal.search.onDidChangeResults(({ resultIndex, resultCount }) => {
      count.textContent = resultCount
        ? t("terminal.find_count", { at: resultIndex + 1, of: resultCount })
        : t("terminal.find_none");
    });
    const close = () => {
      results.dispose();
      terminal.search.clearDecorations();
      this.empty();
    };
    input.addEventListener("input", () => seek(false, true));
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") seek(event.shiftKey);
      if (event.key === "Escape") close();
    });
    this.fill(
      h(
        "div",
        { class: "find", role: "search" },
        icon("search"),
        input,
        count,
        iconButton("chevronUp", t("terminal.find_previous"), () => seek(true)),
        iconButton("chevronDown", t("terminal.find_next"), () => seek(false)),
        iconButton("x", t("close"), close),
      ),
    );
    input.focus();
  }

  /** An address in the output: shown whole, opened without a handle on this page. @param {string} uri */
  offer(uri) {
    const close = () => this.empty();
    const link = h("a", { href: uri, target: "_blank", rel: "noopener noreferrer", onclick: close }, plain(uri, 300));
    this.fill(
      h("p", { class: "said info" }, icon("info"), t("terminal.link"), " ", link, iconButton("x", t("close"), close)),
    );
    link.focus();
  }

  /** @param {{text: string, lines: number}} paste */
  askPaste({ text, lines }) {
    const paste = h(
      "button",
      {
        type: "button",
        class: "primary",
        onclick: () => {
          this.empty();
          this.terminal?.term.paste(text);
        },
      },
      t("terminal.paste_do"),
    );
    const cancel = h("button", { type: "button", onclick: () => this.empty() }, t("cancel"));
    this.fill(
      h(
        "p",
        { class: "said warn", role: "alertdialog", "aria-label": t("terminal.paste_lines", { lines }) },
        icon("alert"),
        t("terminal.paste_lines", { lines }),
        " ",
        paste,
        cancel,
      ),
    );
    paste.focus();
  }

  /** @param {number | null} status */
  exit(status) {
    this.ended = { status };
    if (this.terminal) this.terminal.exited = true;
    const again = h(
      "button",
      { type: "button", class: "primary", onclick: () => this.deck.close(this.name) },
      t("terminal.again"),
    );
    this.fill(
      h(
        "p",
        { class: "said info", role: "status" },
        icon("info"),
        status === null ? t("terminal.gone") : t("terminal.ended", { status }),
        " ",
        again,
      ),
    );
  }

  /** A shell is (again) behind this frame. */
  alive() {
    if (this.ended) this.empty(false);
    this.ended = null;
  }

  /** The words of the other language. */
  relabel() {
    this.terminal?.term.textarea?.setAttribute("aria-label", t("terminal.label", { name: this.name }));
    this.where.show(this.where.where);
    if (this.ended) this.exit(this.ended.status);
    else this.empty(false);
  }

  dispose() {
    this.terminal?.dispose();
    this.element.remove();
  }
}

/** The search marks want #rrggbb. @param {string} token */
function hex(token) {
  const [r, g, b] = (colour(token).match(/\d+/g) ?? ["0", "0", "0"]).map(Number);
  return `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
