/**
 * The page's half of the terminal stream: one byte offset per terminal serves flow control and resume.
 *
 * The engine counts the bytes a pty has produced. `received` is the offset after the last byte handed to xterm.js,
 * `consumed` after the last byte xterm.js has parsed (its write callback fired), `acked` the last `consumed` told to the
 * server. Acks are cumulative, so one lost or doubled does no harm; a reconnect only needs `attach(from)`.
 * Pure: no DOM, no socket, no clock of its own; `edge` does what has effects.
 */

/** An ack each 16 KiB: below the server's LOW mark (32 KiB), else the flow could stop for good. */
export const ACK_BYTES = 16 * 1024;
/** How long after the last parsed byte the rest is acked. */
export const IDLE_MS = 200;

/**
 * @typedef {object} Edge
 * @property {(bytes: Uint8Array, done: () => void) => void} write  parse bytes, then call done
 * @property {() => void} reset                                     empty the screen and its modes
 * @property {(stream: number, consumed: number) => void} ack
 * @property {(ms: number, fn: () => void) => () => void} later     a timer; returns its cancel
 * @property {() => void} lost                                      bytes are missing: attach again
 */

export class Stream {
  /** @param {Edge} edge */
  constructor(edge) {
    this.edge = edge;
    /** number of the stream on this connection, 0 = not attached */
    this.id = 0;
    /** @type {number | null} null = nothing of this terminal is on the screen yet */
    this.received = null;
    this.consumed = 0;
    this.acked = 0;
    /** attach was sent, its answer has not come: old output may be on its way */
    this.attaching = false;
    /** output or a reset of this attach has come already */
    this.heard = false;
    /** while `consumed` is below this, output is replayed history, not news */
    this.replayEnd = 0;
    this.epoch = 0;
    /** @type {(() => void) | null} */
    this.cancelIdle = null;
  }

  /** Old queries (DA, DSR, OSC 10/11) in replayed output make xterm.js answer; the answer must not reach the shell. */
  get replaying() {
    return this.attaching || this.consumed < this.replayEnd;
  }

  /** The screen shows the terminal up to `consumed`, for example from a snapshot of before a reload. @param {number} consumed */
  restore(consumed) {
    this.received = this.consumed = this.acked = consumed;
  }

  /** Another terminal under the same name (after a reset of the lab): its offsets start anew. */
  forget() {
    this.epoch += 1;
    this.received = null;
    this.consumed = this.acked = this.replayEnd = 0;
    this.edge.reset();
  }

  /**
   * To be called once everything received has been parsed, so that `from` leaves no byte in between.
   * @param {number} id a number not used before on this connection
   * @returns {number | null} the `from` of attach
   */
  begin(id) {
    this.id = id;
    this.attaching = true;
    this.heard = false;
    this.acked = this.consumed;
    return this.received;
  }

  /**
   * The answer to attach. Output and `reset` may have overtaken it.
   * @param {{stream: number, offset: number, end: number, reset: boolean}} answer
   */
  attached(answer) {
    if (answer.stream !== this.id) return;
    const from = this.received;
    const elsewhere = from === null || from < answer.offset || from > answer.end;
    if (!this.heard && elsewhere) this.start(answer.offset);
    this.attaching = false;
    this.replayEnd = answer.end;
  }

  detached() {
    this.id = 0;
    this.attaching = false;
    this.stopIdle();
  }

  /** The server could not resume: clear, and go on at `offset`. @param {number} stream @param {number} offset */
  reset(stream, offset) {
    if (stream !== this.id) return;
    this.heard = true;
    this.start(offset);
  }

  /** @param {number} offset */
  start(offset) {
    const blank = this.received === null;
    this.epoch += 1;
    this.received = this.consumed = this.acked = offset;
    if (!blank) this.edge.reset();
  }

  /** @param {number} stream @param {number} offset of the first byte @param {Uint8Array} bytes */
  output(stream, offset, bytes) {
    if (stream !== this.id) return;
    this.heard = true;
    if (this.received === null) this.start(offset);
    const received = /** @type {number} */ (this.received);
    if (offset > received) {
      // A gap. While attaching it is a cut ring; later it cannot happen, and if it does the truth is one attach away.
      if (!this.attaching) return this.edge.lost();
      this.start(offset);
    }
    const seen = Math.max(0, /** @type {number} */ (this.received) - offset);
    if (seen >= bytes.length) return;
    const end = offset + bytes.length;
    const epoch = this.epoch;
    this.received = end;
    this.edge.write(seen ? bytes.subarray(seen) : bytes, () => {
      if (epoch === this.epoch) this.parsed(end);
    });
  }

  /** @param {number} end */
  parsed(end) {
    this.consumed = end;
    this.stopIdle();
    if (this.consumed - this.acked >= ACK_BYTES) this.sendAck();
    else this.cancelIdle = this.edge.later(IDLE_MS, () => this.sendAck());
  }

  sendAck() {
    this.cancelIdle = null;
    if (!this.id || this.consumed === this.acked) return;
    this.acked = this.consumed;
    this.edge.ack(this.id, this.consumed);
  }

  stopIdle() {
    this.cancelIdle?.();
    this.cancelIdle = null;
  }
}
