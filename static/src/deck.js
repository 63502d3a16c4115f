/**
 * The terminals of the page: tabs above, frames below, one or several at a time (arrangement.js), and the tools that act on the one in use.
 * Which terminals there are is said by the server (`open`) and by the step; a terminal is attached when it first gets a tab.
 */

import { Arrangement } from "./arrangement.js";
import { DeckTools } from "./decktools.js";
import { h, need } from "./dom.js";
import { Frame } from "./frame.js";
import { onLanguage, t } from "./strings.js";
import { onTheme } from "./theme.js";

const MOST = 8;
const NAMES = ["second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"];

export class Deck extends EventTarget {
  /** @param {import("./connection.js").Connection} connection @param {{leave: () => void, maximize: () => void}} page */
  constructor(connection, page) {
    super();
    this.connection = connection;
    this.page = page;
    /** @type {Map<string, Frame>} */
    this.frames = new Map();
    this.active = "";
    this.tabs = h("div", { role: "tablist", class: "tabs" });
    this.tools = new DeckTools(this);
    this.panels = h("div", { class: "panels" });
    this.root = need("#terminals");
    need(".deck-bar", this.root).append(this.tabs, this.tools.element);
    this.root.append(this.panels);
    this.arrangement = new Arrangement(this.panels, () => this.layout());
    this.tabs.addEventListener("keydown", (event) => this.tabKey(event));
    onTheme(() => this.each((frame) => frame.terminal?.restyle()));
    onLanguage(() => {
      this.each((frame) => frame.relabel());
      this.draw();
    });
    this.listen();
    this.draw();
  }

  listen() {
    const { connection } = this;
    connection.on("output", (stream, offset, data) => {
      for (const frame of this.frames.values()) frame.terminal?.stream.output(stream, offset, new Uint8Array(data));
    });
    connection.on("reset", (stream, offset) => this.each((frame) => frame.terminal?.stream.reset(stream, offset)));
    connection.on("exit", (stream, status) =>
      this.each((frame) => frame.terminal?.stream.id === stream && frame.exit(status)),
    );
    connection.on("where", ({ terminal, where }) => this.frames.get(terminal)?.where.show(where));
    connection.addEventListener("offline", () => this.each((frame) => frame.terminal?.stream.detached()));
  }

  /** @param {(frame: Frame) => void} fn */
  each(fn) {
    for (const frame of this.frames.values()) fn(frame);
  }

  /**
   * After each connect: attach what has a tab, and give a tab to what lives.
   * @param {import("./types.js").TerminalInfo[]} infos @param {string[]} wanted @param {boolean} [again] see ensure
   */
  async sync(infos, wanted, again = true) {
    const ids = new Map(infos.map((info) => [info.name, info.id]));
    const names = [...new Set([...wanted, ...this.frames.keys(), ...ids.keys()])];
    await Promise.all(names.map((name) => this.ensure(name, ids.get(name), again)));
    if (!this.recalled) this.arrangement.recall(names);
    this.recalled = true;
    const [first] = this.arrangement.names("");
    if (!this.active && names[0]) this.select(names[0], false);
    else if (first && !this.arrangement.names("").includes(this.active)) this.select(first, false);
    else this.layout();
  }

  /**
   * A terminal with this name, in a tab, attached.
   * @param {string} name @param {string} [id] @param {boolean} [again] attach also if it has a tab
   */
  async ensure(name, id, again = false) {
    let frame = this.frames.get(name);
    if (frame && !again && frame.terminal?.stream.id) return frame;
    if (!frame) {
      frame = new Frame(name, this.connection, {
        leave: () => this.page.leave(),
        close: (closed) => void this.renew(closed),
      });
      this.frames.set(name, frame);
      this.panels.append(frame.element);
      frame.element.addEventListener("focusin", () => this.inUse(name));
      frame.open();
      frame.show(false);
      this.draw();
      if (!this.active) this.select(name, false);
    }
    try {
      await frame.terminal?.attach(id);
      frame.alive();
    } catch (error) {
      const trouble = /** @type {import("./connection.js").Trouble} */ (error);
      frame.terminal?.stream.detached();
      if (trouble.kind !== "offline") frame.say(`${trouble.message} ${trouble.hint ?? ""}`, "warn", 0);
    }
    return frame;
  }

  /** The lab is about to be another one: only these terminals stay. @param {string[]} names */
  keep(names) {
    for (const [name, frame] of this.frames) {
      if (names.includes(name)) continue;
      frame.dispose();
      this.frames.delete(name);
    }
    this.arrangement.only(names.filter((name) => this.frames.has(name)));
    const first = names.find((name) => this.frames.has(name)) ?? "";
    if (!this.frames.has(this.active)) this.active = first;
    this.layout();
  }

  /** @param {string} name @param {boolean} [focus] */
  select(name, focus = true) {
    if (!this.frames.has(name)) return;
    this.arrangement.show(name, this.active);
    this.active = name;
    this.layout();
    if (focus) this.frames.get(name)?.terminal?.term.focus();
    this.dispatchEvent(new Event("select"));
  }

  /** One of those shown has got the focus: tabs and tools are about it. @param {string} name */
  inUse(name) {
    if (name === this.active || !this.arrangement.names(this.active).includes(name)) return;
    this.active = name;
    this.layout();
    this.dispatchEvent(new Event("select"));
  }

  layout() {
    this.arrangement.place(this.frames, this.active);
    this.draw();
  }

  draw() {
    const held = document.activeElement?.id;
    this.tabs.setAttribute("aria-label", t("terminal.tabs"));
    this.tabs.replaceChildren(
      ...[...this.frames.keys()].map((name) => {
        const on = name === this.active;
        const seen = this.arrangement.names(this.active).includes(name);
        const props = {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": `frame-${name}`,
          class: seen ? "seen" : null,
        };
        return h(
          "button",
          { ...props, "aria-selected": String(on), tabindex: on ? 0 : -1, onclick: () => this.select(name) },
          name,
        );
      }),
    );
    const count = this.arrangement.names(this.active).length;
    this.tools.draw({ most: this.frames.size >= MOST, split: !this.arrangement.full && this.free() !== "", count });
    if (held?.startsWith("tab-")) document.getElementById(`tab-${this.active}`)?.focus();
  }

  current() {
    return this.frames.get(this.active);
  }

  /** A name for one more terminal, "" = there are as many as can be. */
  get spare() {
    return this.frames.size < MOST ? (NAMES.find((name) => !this.frames.has(name)) ?? "") : "";
  }

  /** What a split would show: a terminal that is not seen, else a new one. */
  free() {
    const seen = this.arrangement.names(this.active);
    return [...this.frames.keys()].find((name) => !seen.includes(name)) ?? this.spare;
  }

  async add() {
    const name = this.spare;
    if (!name) return;
    await this.ensure(name);
    this.select(name);
  }

  /** Another terminal to the right of the active one (x) or below it (y). @param {"x" | "y"} axis */
  async split(axis) {
    const name = this.free();
    if (!name || !this.active || this.arrangement.full) return;
    await this.ensure(name);
    this.arrangement.split(this.active, axis, name);
    this.select(name);
  }

  /** Only the active one is shown; the others keep their tabs. */
  unsplit() {
    this.arrangement.only([this.active]);
    this.layout();
  }

  /** The keys go to the next of those shown. @param {number} by */
  walk(by) {
    const seen = this.arrangement.names(this.active);
    const to = seen[(seen.indexOf(this.active) + by + seen.length) % seen.length];
    if (to) this.select(to);
  }

  /** The selection, or all of the text. */
  async copy() {
    const frame = this.current();
    if (!frame?.terminal) return;
    if (await frame.terminal.copy()) return frame.say(t("terminal.copied"), "info", 2000);
    await navigator.clipboard?.writeText(frame.terminal.text()).then(
      () => frame.say(t("terminal.copied_all"), "info", 2000),
      () => frame.say(t("terminal.copy_failed"), "warn"),
    );
  }

  /** A shell that ended: a new one in its place. @param {string} name */
  async renew(name) {
    const frame = this.frames.get(name);
    if (!frame) return;
    await this.connection.ask("close", { terminal: name }).catch(() => {}); // it may be gone already
    frame.alive();
    frame.terminal?.stream.detached();
    frame.terminal?.stream.forget();
    if (frame.terminal) frame.terminal.id = "";
    await this.ensure(name, undefined, true);
  }

  /** @param {KeyboardEvent} event */
  tabKey(event) {
    const names = [...this.frames.keys()];
    const at = names.indexOf(this.active);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(names[(to + names.length) % names.length], false);
    document.getElementById(`tab-${this.active}`)?.focus();
  }
}
