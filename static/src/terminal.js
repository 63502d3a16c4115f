/**
 * One terminal of the lab: xterm.js, its stream, and what a person does to it. The options and the rules of the stream
 * are said in docs/terminal.md; this file draws no tabs and no frame (deck.js, where.js do).
 */
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { SerializeAddon } from "@xterm/addon-serialize";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import { pieces } from "./input.js";
import { ofPage } from "./keys.js";
import { palette } from "./palette.js";
import { prefs } from "./prefs.js";
import { loadScreen, saveScreen } from "./screen.js";
import { Stream } from "./stream.js";
import { size, stillness } from "./theme.js";

/** As --grid in tokens.css, and the plain faces behind it. */
const FONT = '"JetBrains Mono", "Hako CJK", "DejaVu Sans Mono", "Hako Narrow", "Noto Sans Mono CJK JP", monospace';
const SIZE_MS = 100;
/** A shell that starts prints its prompt within this; one that computes need not be waited for. */
const QUIET_MS = 150;
const QUIET_MOST_MS = 1500;
let streams = 0;

/**
 * Events: `leave` (the person wants out), `find` (open the search), `paste` (detail: {text, lines}: ask first),
 * `unsent` (typed while nothing can be sent), `link` (detail: an address in the output that was clicked).
 */
export class LabTerminal extends EventTarget {
  /** @param {{name: string, connection: import("./connection.js").Connection, mount: HTMLElement}} made */
  constructor({ name, connection, mount }) {
    super();
    this.name = name;
    this.connection = connection;
    this.mount = mount;
    /** the engine's id for it; another id under the same name is another terminal */
    this.id = "";
    this.exited = false;
    /** Ctrl of the row of keys is held: what to do when it is used up @type {(() => void) | null} */
    this.heldCtrl = null;
    this.restoring = false;
    this.sent = { rows: 0, cols: 0 };
    /** Output may hold any address: only http(s) is offered, and the person sees it before it opens. */
    const link = (/** @type {MouseEvent} */ _event, /** @type {string} */ uri) => {
      if (/^https?:\/\//i.test(uri)) this.dispatchEvent(new CustomEvent("link", { detail: uri }));
    };
    this.term = new Terminal({ ...options(), linkHandler: { activate: link, allowNonHttpProtocols: false } });
    this.fit = new FitAddon();
    this.search = new SearchAddon();
    this.serializer = new SerializeAddon();
    for (const addon of [this.fit, this.search, this.serializer, new Unicode11Addon(), new WebLinksAddon(link)])
      this.term.loadAddon(addon);
    this.term.unicode.activeVersion = "11";
    this.term.open(mount);
    this.stream = new Stream({
      write: (bytes, done) => this.term.write(bytes, done),
      reset: () => this.term.write("\x1bc"), // in its turn behind what is waiting to be parsed; term.reset() would not be
      ack: (stream, consumed) => void connection.emit("ack", stream, consumed),
      later: (ms, fn) => {
        const timer = setTimeout(fn, ms);
        return () => clearTimeout(timer);
      },
      lost: () => void this.attach(),
    });
    this.listen();
  }

  listen() {
    this.term.onData((text) => this.input(text));
    this.term.onBinary((text) => this.send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    this.term.attachCustomKeyEventHandler((event) => this.key(event));
    this.mount.addEventListener("paste", (event) => this.pasted(event), { capture: true });
    /** @type {number | undefined} */
    let timer;
    this.observer = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(() => this.refit(), SIZE_MS);
    });
    this.observer.observe(this.mount);
    this.term.textarea?.addEventListener("focus", () => this.claim());
    addEventListener("pagehide", () => this.save());
  }

  /** Shows what this browser tab had on the screen before a reload. @param {string} id */
  async restore(id) {
    this.id = id;
    const screen = loadScreen(id);
    if (!screen) return;
    this.restoring = true;
    this.term.resize(screen.cols, screen.rows);
    await new Promise((done) => this.term.write(screen.text, () => done(undefined)));
    this.restoring = false;
    this.stream.restore(screen.consumed);
    this.refit();
  }

  save() {
    if (!this.id || this.stream.received === null) return;
    const { rows, cols } = this.term;
    const text = this.serializer.serialize({ scrollback: 1000 });
    saveScreen({ id: this.id, consumed: this.stream.consumed, rows, cols, text });
  }

  /** @param {string} [id] of the terminal that now has this name @returns {Promise<void>} */
  async attach(id) {
    if (id && this.id && id !== this.id) this.stream.forget();
    if (id && !this.id) await this.restore(id);
    const generation = this.connection.generation;
    await new Promise((done) => this.term.write("", () => done(undefined))); // received == consumed from here on
    if (generation !== this.connection.generation || !this.connection.online) return;
    this.propose();
    const stream = ++streams;
    const from = this.stream.begin(stream);
    const { rows, cols } = this.term;
    this.sent = { rows, cols };
    const answer = await this.connection.ask("attach", { terminal: this.name, stream, from, rows, cols });
    if (stream !== this.stream.id) return;
    const other = answer.id && this.id && answer.id !== this.id;
    this.id = answer.id ?? id ?? this.id;
    this.exited = false;
    if (other && from !== null) {
      this.stream.forget();
      return this.attach(this.id);
    }
    this.stream.attached({ ...answer, stream });
  }

  /** @param {string} text what xterm.js wants sent: keys, pastes, and answers to queries */
  input(text) {
    // Answers to old queries all start with ESC; a person's letters during the few ms of a replay are still sent.
    if (this.restoring || (this.stream.replaying && text.startsWith("\x1b"))) return;
    for (const piece of pieces(this.withCtrl(text))) this.send(piece);
  }

  /** The letter with Ctrl, where that is held. @param {string} text */
  withCtrl(text) {
    const used = this.heldCtrl;
    if (!used || text.startsWith("\x1b")) return text;
    this.heldCtrl = null;
    used();
    return /^[a-z@[\\\]^_]$/i.test(text) ? String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f) : text;
  }

  /** @param {Uint8Array} bytes at most 16 KiB, whole characters */
  send(bytes) {
    const exact = bytes.slice().buffer; // a view would arrive as a map of its fields, not as bytes
    if (this.stream.id && !this.exited && this.connection.emit("input", this.name, exact)) return;
    this.dispatchEvent(new Event("unsent"));
  }

  /** @param {KeyboardEvent} event @returns {boolean} false: not for the terminal */
  key(event) {
    if (event.isComposing || event.keyCode === 229) return true; // the input method owns it
    if (ofPage(event)) return false; // goes on to keys.js
    const leave = (event.key === "Escape" && event.ctrlKey && event.shiftKey) || (event.key === "F6" && event.shiftKey);
    const letter = event.ctrlKey && event.shiftKey ? event.code : "";
    const copies = letter === "KeyC" || (event.key === "Insert" && event.ctrlKey && this.term.hasSelection());
    if (!leave && !copies && letter !== "KeyF" && letter !== "KeyV") return true;
    if (letter === "KeyV") return false; // the browser pastes
    event.preventDefault();
    if (event.type !== "keydown") return false;
    if (leave) this.dispatchEvent(new Event("leave"));
    else if (copies) void this.copy();
    else this.dispatchEvent(new Event("find"));
    return false;
  }

  /** Several lines run at once unless the shell asked for bracketed paste: then the person is asked first. @param {ClipboardEvent} event */
  pasted(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const lines = text.trimEnd().split(/\r\n|\r|\n/).length;
    if (lines < 2 || this.term.modes.bracketedPasteMode) return;
    event.preventDefault();
    event.stopPropagation();
    this.dispatchEvent(new CustomEvent("paste", { detail: { text, lines } }));
  }

  /** Resolves when something was printed and then nothing for a moment; soon in any case. @returns {Promise<void>} */
  quiet() {
    const began = performance.now();
    const before = this.stream.consumed;
    let last = before;
    let since = began;
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        const now = performance.now();
        if (this.stream.consumed !== last) since = now;
        last = this.stream.consumed;
        if ((last !== before && now - since >= QUIET_MS) || now - began >= QUIET_MOST_MS) {
          clearInterval(timer);
          resolve();
        }
      }, 20);
    });
  }

  /** @returns {Promise<boolean>} whether there was a selection and it was copied */
  async copy() {
    if (!this.term.hasSelection()) return false;
    return navigator.clipboard.writeText(this.term.getSelection()).then(
      () => true,
      () => document.execCommand("copy"), // no clipboard API on plain http of another machine
    );
  }

  /** @returns {string} everything on the screen and above it as text */
  text() {
    const buffer = this.term.buffer.active;
    let text = "";
    for (let row = 0; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      if (row > 0 && !line?.isWrapped) text += "\n";
      text += line?.translateToString(!buffer.getLine(row + 1)?.isWrapped) ?? "";
    }
    return text.trimEnd();
  }

  /** The size the frame has room for, if it is shown. @returns {boolean} */
  propose() {
    const size = this.mount.clientWidth > 40 && this.mount.clientHeight > 20 ? this.fit.proposeDimensions() : undefined;
    if (!size || !Number.isFinite(size.cols) || !Number.isFinite(size.rows)) return false;
    const cols = Math.min(1000, Math.max(2, size.cols));
    const rows = Math.min(500, Math.max(2, size.rows));
    if (cols !== this.term.cols || rows !== this.term.rows) this.term.resize(cols, rows);
    return true;
  }

  /** The owner's frame decides the size of the terminal. */
  refit() {
    if (this.mount.closest("[data-hidden]") || !this.propose()) return;
    const { rows, cols } = this.term;
    if (rows === this.sent.rows && cols === this.sent.cols) return;
    if (this.stream.id && this.connection.emit("resize", { terminal: this.name, rows, cols }))
      this.sent = { rows, cols };
  }

  /** Another tab may have given the terminal its own size: the one in use decides. */
  claim() {
    this.sent = { rows: 0, cols: 0 };
    this.refit();
  }

  restyle() {
    Object.assign(this.term.options, { fontSize: size("terminal"), theme: palette(), screenReaderMode: prefs.reader });
    this.refit();
  }

  dispose() {
    this.observer?.disconnect();
    this.stream.detached();
    this.term.dispose();
  }
}

function options() {
  return {
    allowProposedApi: true, // unicode11 and the search marks need it
    altClickMovesCursor: false, // it types arrow keys, which is not what a click means here
    cursorBlink: !stillness.matches,
    fontFamily: FONT,
    fontSize: size("terminal"),
    fontWeightBold: /** @type {const} */ ("600"),
    lineHeight: 1,
    macOptionIsMeta: true,
    minimumContrastRatio: 4.5,
    screenReaderMode: prefs.reader,
    scrollback: 5000,
    theme: palette(),
  };
}
