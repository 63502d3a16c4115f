/**
 * One Socket.IO connection a page: namespace /lab, websocket only, msgpack. Says when it is up or down and when it tries
 * again, asks with an answer, and sends without one.
 *
 * Reconnecting is done here and not by socket.io-client, because the page says in words when the next try is.
 * Nothing is ever buffered: socket.io-client would flush what was emitted offline before `connect` listeners run, so a key
 * would overtake its terminal's attach. `volatile` is not the cure: it also drops a packet while the one before is being
 * flushed, that is, the second of two keys in one tick. So: emit only while connected, and empty the buffer on disconnect.
 */
import { io } from "socket.io-client";
import * as parser from "socket.io-msgpack-parser";

const FIRST_MS = 250;
const LAST_MS = 4000;
const ANSWER_MS = 15_000;

/** An error the server explained: `message` and `hint` are in the page's language. */
export class Trouble extends Error {
  /** @param {{kind?: string, message?: string, hint?: string}} error */
  constructor(error) {
    super(error.message ?? "");
    this.kind = error.kind ?? "";
    this.hint = error.hint ?? "";
  }
}

/** Events of its own: `online` (detail: the answer to open), `offline` (detail: {retryAt: ms}). */
export class Connection extends EventTarget {
  /**
   * @param {{token: string, token_url: string, socket: {path: string, namespace: string}}} boot
   * @param {() => object} hello what `open` says after every connect
   */
  constructor(boot, hello) {
    super();
    this.boot = boot;
    this.hello = hello;
    this.online = false;
    /** grows with each connect: what began on an older one is over */
    this.generation = 0;
    this.tries = 0;
    this.retryAt = 0;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.firstToken = true;
    this.socket = io(boot.socket.namespace, {
      path: boot.socket.path,
      parser,
      transports: ["websocket"],
      reconnection: false,
      autoConnect: false,
      auth: (answer) => void this.token().then((token) => answer({ token })),
    });
    this.socket.on("connect", () => void this.connected());
    this.socket.on("disconnect", () => this.down());
    this.socket.on("connect_error", (error) => this.refused(error));
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.now());
  }

  start() {
    this.socket.connect();
  }

  /** Try at once, if we are waiting to. */
  now() {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.socket.connect();
  }

  /** The page token lives an hour: the first connect uses the page's, every later one a new one. @returns {Promise<string>} */
  async token() {
    if (this.firstToken) {
      this.firstToken = false;
      return this.boot.token;
    }
    try {
      const response = await fetch(this.boot.token_url, { headers: { Accept: "application/json" } });
      if (response.ok) this.boot.token = (await response.json()).token;
    } catch {
      // The server is away: the old token is as good as any, the connect will fail and be tried again.
    }
    return this.boot.token;
  }

  async connected() {
    const generation = ++this.generation;
    try {
      const answer = await this.ask("open", this.hello());
      if (generation !== this.generation || !this.socket.connected) return;
      this.online = true;
      this.tries = 0;
      this.dispatchEvent(new CustomEvent("online", { detail: answer }));
    } catch {
      if (generation === this.generation) this.socket.disconnect(); // `disconnect` plans the next try
    }
  }

  /** @param {Error} error */
  refused(error) {
    // The session is another one now. Once a minute at most, so that two broken sides do not reload for ever.
    if (error.message === "learner" && Date.now() - Number(sessionStorage.getItem("hako:reloaded") ?? 0) > 60_000) {
      sessionStorage.setItem("hako:reloaded", String(Date.now()));
      location.reload();
      return;
    }
    this.down();
  }

  down() {
    this.online = false;
    this.generation += 1;
    this.socket.sendBuffer.length = 0;
    const ceiling = Math.min(LAST_MS, FIRST_MS * 2 ** this.tries);
    const wait = ceiling * (0.5 + Math.random()); // a class of 40 must not come back in one instant
    this.tries += 1;
    this.retryAt = Date.now() + wait;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.socket.connect();
    }, wait);
    this.dispatchEvent(new CustomEvent("offline", { detail: { retryAt: this.retryAt } }));
  }

  /** @param {string} event @param {...any} data @returns {boolean} false: not sent, and never will be */
  emit(event, ...data) {
    if (!this.online) return false;
    this.socket.emit(event, ...data);
    return true;
  }

  /**
   * @param {string} event @param {object} data
   * @returns {Promise<any>} the answer; rejects with Trouble, also when none came in time or the line fell
   */
  ask(event, data) {
    return new Promise((resolve, reject) => {
      if (!this.socket.connected) return reject(new Trouble({ kind: "offline" }));
      const fail = () => finish(() => reject(new Trouble({ kind: "offline" })));
      const timer = setTimeout(fail, ANSWER_MS);
      this.socket.once("disconnect", fail);
      const finish = (/** @type {() => void} */ then) => {
        clearTimeout(timer);
        this.socket.off("disconnect", fail);
        then();
      };
      this.socket.emit(event, data, (/** @type {any} */ answer) =>
        finish(() => (answer?.error ? reject(new Trouble(answer.error)) : resolve(answer))),
      );
    });
  }

  /** @param {string} event @param {(...data: any[]) => void} fn */
  on(event, fn) {
    this.socket.on(event, fn);
  }
}
