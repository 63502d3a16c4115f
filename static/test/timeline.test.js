/** Claims about the timeline: every step has its place on one axis, and one that was not taken has none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { milliseconds, spans } from "../src/views/timeline/spans.js";

const step = (at_us, took_us, kind = "mount") => ({
  kind,
  where: "child",
  man: "mount(2)",
  text: {},
  kinds: [],
  at_us,
  took_us,
});

test("the axis ends where the last step ends, also if an earlier one took longer", () => {
  const { steps, total } = spans({ failed: null, steps: [step(0, 100), step(100, 900), step(500, 10)] });
  assert.equal(total, 1000);
  assert.deepEqual(
    steps.map((span) => [span.number, span.at, span.took]),
    [
      [1, 0, 100],
      [2, 100, 900],
      [3, 500, 10],
    ],
  );
});

test("a step that failed is told from those that were never begun", () => {
  const { steps } = spans({ failed: 2, steps: [step(0, 5), step(null, null), step(null, null), step(null, null)] });
  assert.deepEqual(
    steps.map((span) => span.state),
    ["timed", "taken", "failed", "untaken"],
  );
});

test("a plan without times has an axis of no length", () => {
  assert.equal(spans({ failed: 0, steps: [step(null, null)] }).total, 0);
  assert.equal(spans({ failed: null, steps: [] }).total, 0);
});

test("times are short at every size", () => {
  assert.deepEqual(
    [0, 4, 950, 1234, 45_600, 1_234_567].map(milliseconds),
    ["0.000", "0.004", "0.950", "1.2", "45.6", "1235"].map((text) => `${text}\u00a0ms`),
  );
});
