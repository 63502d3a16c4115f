/**
 * Command blocks of the text. `run` has a button that types the block into the named terminal, exactly once; `copy` copies;
 * `edit` is text that must be changed first, in place, and is then typed.
 *
 * Once: the key of a press goes with the text, the engine forgets a key it has seen. A double click is one press; a press
 * whose answer was lost is asked again with the same key after the reconnect; a press while offline is refused in words.
 */
import { h, icon } from "./dom.js";
import { t } from "./strings.js";

/** A second click this soon is a double click, not a second wish. */
const DOUBLE_MS = 800;

/** @param {HTMLElement} root @param {import("./page.js").Page} page */
export function mountCommands(root, page) {
  for (const figure of root.querySelectorAll("figure.command")) new Command(/** @type {HTMLElement} */ (figure), page);
}

class Command {
  /** @param {HTMLElement} figure @param {import("./page.js").Page} page */
  constructor(figure, page) {
    this.figure = figure;
    this.page = page;
    this.mode = figure.dataset.mode ?? "copy";
    this.terminal = figure.dataset.terminal ?? "lab";
    this.block = figure.dataset.block ?? "";
    this.code = /** @type {HTMLElement} */ (figure.querySelector("code"));
    this.original = this.code.textContent ?? "";
    this.pressedAt = Number.NEGATIVE_INFINITY; // a press in the page's first moment is a wish, too
    this.busy = false;
    this.said = h("span", { class: "command-said", role: "status" });
    const where =
      this.mode === "copy" ? t("command.copy_only") : t(`command.${this.mode}_in`, { terminal: this.terminal });
    figure.prepend(h("figcaption", { class: "command-head" }, h("span", {}, where), this.said, this.buttons()));
    this.code.parentElement?.setAttribute("tabindex", "0"); // long lines scroll: reachable by keys
    if (this.mode === "edit") this.editable();
  }

  buttons() {
    const copy = h(
      "button",
      { type: "button", class: "command-button", onclick: () => void this.copy() },
      icon("copy"),
      t("command.copy"),
    );
    if (this.mode === "copy") return h("span", { class: "command-buttons" }, copy);
    this.run = h(
      "button",
      { type: "button", class: "command-button primary", onclick: () => void this.press() },
      t(this.mode === "edit" ? "command.type" : "command.run"),
      icon("enter"),
    );
    return h("span", { class: "command-buttons" }, copy, this.run);
  }

  editable() {
    this.code.setAttribute("contenteditable", "plaintext-only");
    if (this.code.contentEditable !== "plaintext-only") this.code.setAttribute("contenteditable", "true");
    this.code.setAttribute("role", "textbox");
    this.code.setAttribute("aria-multiline", "true");
    this.code.setAttribute("aria-label", t("command.edit_label"));
    this.code.setAttribute("spellcheck", "false");
    this.code.parentElement?.removeAttribute("tabindex");
    if (this.run) this.run.disabled = true;
    this.code.addEventListener("input", () => {
      if (this.run) this.run.disabled = this.text() === this.original.trim();
    });
  }

  text() {
    // biome-ignore lint/performance/useDomNodeTextContent: where contenteditable makes <br> and <div>, only innerText has the line ends
    return (this.code.innerText ?? "").replace(/\u00a0/g, " ").trim();
  }

  async copy() {
    const done = await navigator.clipboard?.writeText(this.mode === "edit" ? this.text() : this.original).then(
      () => true,
      () => false,
    );
    this.say(t(done ? "command.copied" : "command.copy_failed"));
  }

  async press() {
    const now = performance.now();
    if (this.busy || now - this.pressedAt < DOUBLE_MS) return;
    this.pressedAt = now;
    if (!this.page.connection.online || !this.page.engineUp) return this.say(t("command.offline"));
    this.busy = true;
    try {
      const frame = await this.page.deck.ensure(this.terminal);
      this.page.deck.select(this.terminal, false);
      const text = (this.mode === "edit" ? this.text() : this.original).trimEnd();
      const quiet = () => frame.terminal?.quiet() ?? Promise.resolve();
      const typed = await inTurn(this.terminal, quiet, () => this.typeLines(text.split("\n"), quiet));
      this.page.panes.look();
      this.say(t(typed ? "command.typed" : "command.typed_before", { terminal: this.terminal }));
    } catch (error) {
      const trouble = /** @type {import("./connection.js").Trouble} */ (error);
      this.say(trouble.message || t("command.offline"));
    } finally {
      this.busy = false;
    }
  }

  /**
   * Line by line, each once it is quiet, as a person does: typed ahead of a starting shell, the lines would be echoed by the
   * kernel and again by the shell. Each line has its own key, so each is typed once whatever happens to the connection.
   * @param {string[]} lines @param {() => Promise<void>} quiet
   */
  async typeLines(lines, quiet) {
    const key = `${this.block}-${crypto.randomUUID?.() ?? fallbackId()}`;
    let typed = true;
    for (const [index, line] of lines.entries()) {
      if (index > 0) await quiet();
      typed = await this.page.typist.type(this.terminal, `${line}\r`, `${key}-${index}`);
    }
    return typed;
  }

  /** @param {string} sentence */
  say(sentence) {
    this.said.textContent = sentence;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.said.textContent = "";
    }, 4000);
  }
}

/** What is being typed into each terminal, by name @type {Map<string, Promise<unknown>>} */
const turns = new Map();

/**
 * Whoever presses run on a second block while the first is still being typed gets one after the other, not their lines mixed.
 * @template T @param {string} terminal @param {() => Promise<void>} quiet @param {() => Promise<T>} type @returns {Promise<T>}
 */
async function inTurn(terminal, quiet, type) {
  const before = turns.get(terminal);
  const turn = (before ?? Promise.resolve()).then(() => before && quiet()).then(type);
  /** @type {Promise<unknown>} */
  const over = turn.catch(() => {}).then(() => turns.get(terminal) === over && turns.delete(terminal));
  turns.set(terminal, over);
  return turn;
}

/** crypto.randomUUID exists only on https and localhost; a class server on plain http has getRandomValues. */
function fallbackId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
