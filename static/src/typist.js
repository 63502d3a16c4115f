/**
 * Types text into a terminal exactly once. The engine remembers the keys of what it typed, so a request whose answer was
 * lost with the connection is simply made again after the next `online`, with the same key.
 */

/** How long a lost request is worth repeating: after that the person has moved on. */
const PATIENCE_MS = 20_000;

export class Typist {
  /**
   * @param {import("./connection.js").Connection} connection
   * @param {(terminal: string) => Promise<unknown>} ready comes back when the terminal's attach is on its way: what is
   * asked behind it finds the terminal there
   */
  constructor(connection, ready) {
    this.connection = connection;
    this.ready = ready;
  }

  /**
   * @param {string} terminal @param {string} text as typed, @param {string} key of this press
   * @returns {Promise<boolean>} false: it had been typed already. Rejects with Trouble.
   */
  async type(terminal, text, key) {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      try {
        await this.ready(terminal);
        return (await this.connection.ask("type", { terminal, text, key })).typed !== false;
      } catch (error) {
        const trouble = /** @type {import("./connection.js").Trouble} */ (error);
        if (trouble.kind !== "offline" || !(await this.backBefore(until))) throw error;
      }
    }
  }

  /** @param {number} until @returns {Promise<boolean>} */
  backBefore(until) {
    return new Promise((resolve) => {
      const back = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(
        () => {
          this.connection.removeEventListener("online", back);
          resolve(false);
        },
        Math.max(0, until - Date.now()),
      );
      this.connection.addEventListener("online", back, { once: true });
    });
  }
}
