/** Claims about the page's half of the terminal stream. Run by `node --test`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ACK_BYTES, Stream } from "../src/stream.js";

/** A screen that remembers what it parsed; `flush` fires the callbacks, as xterm.js does later. */
function rig() {
  const seen = { text: "", resets: 0, acks: [], lost: 0, timers: [], waiting: [] };
  const stream = new Stream({
    write: (bytes, done) => seen.waiting.push([bytes, done]),
    reset: () => {
      seen.text = "";
      seen.resets += 1;
    },
    ack: (id, consumed) => seen.acks.push([id, consumed]),
    later: (_ms, fn) => {
      seen.timers.push(fn);
      return () => seen.timers.splice(seen.timers.indexOf(fn), 1);
    },
    lost: () => {
      seen.lost += 1;
    },
  });
  const flush = (count = Number.POSITIVE_INFINITY) => {
    for (const [bytes, done] of seen.waiting.splice(0, count)) {
      seen.text += new TextDecoder().decode(bytes);
      done();
    }
  };
  return { stream, seen, flush };
}

const bytes = (text) => new TextEncoder().encode(text);

test("output that overtakes the answer to attach is shown once and counted as replay", () => {
  const { stream, seen, flush } = rig();
  assert.equal(stream.begin(1), null);
  stream.output(1, 100, bytes("hello"));
  assert.equal(stream.replaying, true);
  stream.attached({ stream: 1, offset: 100, end: 105, reset: true });
  assert.equal(stream.replaying, true);
  flush();
  assert.equal(seen.text, "hello");
  assert.equal(stream.replaying, false);
  assert.equal(stream.consumed, 105);
});

test("consumed follows the write callbacks, not the arrival", () => {
  const { stream, flush } = rig();
  stream.begin(1);
  stream.attached({ stream: 1, offset: 0, end: 0, reset: false });
  stream.output(1, 0, bytes("ab"));
  stream.output(1, 2, bytes("cd"));
  assert.equal(stream.consumed, 0);
  flush(1);
  assert.equal(stream.consumed, 2);
});

test("acks come each 16 KiB and once when it is quiet", () => {
  const { stream, seen, flush } = rig();
  stream.begin(7);
  stream.attached({ stream: 7, offset: 0, end: 0, reset: false });
  stream.output(7, 0, new Uint8Array(ACK_BYTES));
  flush();
  assert.deepEqual(seen.acks, [[7, ACK_BYTES]]);
  stream.output(7, ACK_BYTES, new Uint8Array(10));
  flush();
  assert.equal(seen.acks.length, 1);
  seen.timers[0]();
  assert.deepEqual(seen.acks[1], [7, ACK_BYTES + 10]);
});

test("after a reconnect overlap is cut and output of the old stream is ignored", () => {
  const { stream, seen, flush } = rig();
  stream.begin(1);
  stream.attached({ stream: 1, offset: 0, end: 0, reset: false });
  stream.output(1, 0, bytes("abc"));
  flush();
  stream.detached();
  assert.equal(stream.begin(2), 3);
  stream.output(1, 3, bytes("OLD"));
  stream.attached({ stream: 2, offset: 3, end: 6, reset: false });
  stream.output(2, 1, bytes("bcdef"));
  flush();
  assert.equal(seen.text, "abcdef");
  assert.equal(seen.resets, 0);
});

test("a ring that was cut clears the screen and goes on", () => {
  const { stream, seen, flush } = rig();
  stream.begin(1);
  stream.attached({ stream: 1, offset: 0, end: 0, reset: false });
  stream.output(1, 0, bytes("old"));
  flush();
  stream.begin(2);
  stream.reset(2, 5000);
  stream.output(2, 5000, bytes("new"));
  stream.attached({ stream: 2, offset: 5000, end: 5003, reset: true });
  flush();
  assert.equal(seen.text, "new");
  assert.equal(seen.resets, 1);
  assert.equal(stream.consumed, 5003);
});

test("the answer alone moves the screen when the terminal is elsewhere", () => {
  const { stream, seen, flush } = rig();
  stream.restore(9000);
  stream.begin(1);
  stream.attached({ stream: 1, offset: 20, end: 20, reset: true });
  stream.output(1, 20, bytes("new"));
  flush();
  assert.equal(seen.resets, 1);
  assert.equal(seen.text, "new");
  assert.equal(seen.lost, 0);
});

test("live output that overtakes the answer is not taken for another terminal", () => {
  const { stream, seen, flush } = rig();
  stream.begin(1);
  stream.output(1, 0, bytes("abcdef"));
  stream.attached({ stream: 1, offset: 0, end: 3, reset: false });
  flush();
  assert.equal(seen.text, "abcdef");
  assert.equal(seen.resets, 0);
});

test("a callback of before a reset does not move consumed", () => {
  const { stream, flush } = rig();
  stream.begin(1);
  stream.attached({ stream: 1, offset: 0, end: 0, reset: false });
  stream.output(1, 0, bytes("old"));
  stream.reset(1, 900);
  flush();
  assert.equal(stream.consumed, 900);
});

test("a gap in a stream that runs asks for a new attach", () => {
  const { stream, seen } = rig();
  stream.begin(1);
  stream.attached({ stream: 1, offset: 0, end: 0, reset: false });
  stream.output(1, 10, bytes("x"));
  assert.equal(seen.lost, 1);
});

test("1,000 random cuts lose and double no byte", () => {
  const { stream, seen, flush } = rig();
  let random = 12345;
  const next = (limit) => {
    random = (random * 1103515245 + 12345) % 2147483648;
    return random % limit;
  };
  const whole = Array.from({ length: 40000 }, (_, index) => String.fromCharCode(97 + (index % 26))).join("");
  let id = 0;
  let sent = 0;
  const attach = () => {
    flush(); // what terminal.js waits for before it attaches
    const from = stream.begin(++id) ?? 0;
    sent = from;
    stream.attached({ stream: id, offset: from, end: Math.min(whole.length, from + 50), reset: false });
  };
  attach();
  for (let cut = 0; cut < 1000; ) {
    const size = 1 + next(40);
    stream.output(id, sent, bytes(whole.slice(sent, sent + size)));
    sent = Math.min(whole.length, sent + size);
    if (next(3) === 0) flush(1);
    if (next(2) === 0) {
      stream.detached();
      stream.output(id, sent, bytes("lost on the way"));
      attach();
      cut += 1;
    }
  }
  while (sent < whole.length) {
    stream.output(id, sent, bytes(whole.slice(sent, sent + 500)));
    sent = Math.min(whole.length, sent + 500);
  }
  flush();
  assert.equal(seen.text, whole);
});
