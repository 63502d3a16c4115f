/** Claims about the tree of shown terminals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exchange, leaf, move, only, places, shown, sound, split } from "../src/splits.js";

const three = split(split(leaf("lab"), "lab", "x", "second"), "second", "y", "third");

test("a split divides one box and leaves the others", () => {
  assert.deepEqual(shown(three), ["lab", "second", "third"]);
  const { frames, forks } = places(three);
  assert.deepEqual(frames.get("lab"), { x: 0, y: 0, width: 50, height: 100 });
  assert.deepEqual(frames.get("second"), { x: 50, y: 0, width: 50, height: 50 });
  assert.deepEqual(frames.get("third"), { x: 50, y: 50, width: 50, height: 50 });
  assert.deepEqual(
    forks.map(({ path, axis }) => path + axis),
    ["x", "1y"],
  );
});

test("the boxes fill the whole and do not overlap, whatever was split and moved", () => {
  /** @type {import("../src/splits.js").Tree} */
  let tree = leaf("0");
  for (let count = 1; count < 4; count += 1) {
    const at = shown(tree)[(count * 7) % count];
    tree = split(tree, at, count % 2 ? "x" : "y", String(count));
    for (const { path } of places(tree).forks) tree = move(tree, path, 20 + ((count * 13) % 60));
    const boxes = [...places(tree).frames.values()];
    const area = boxes.reduce((sum, { width, height }) => sum + width * height, 0);
    assert.ok(Math.abs(area - 100 * 100) < 0.001);
    assert.equal(boxes.length, count + 1);
  }
});

test("who goes leaves the room to what stood beside, and the last leaves nothing", () => {
  assert.deepEqual(
    only(three, (name) => name !== "second"),
    split(leaf("lab"), "lab", "x", "third"),
  );
  assert.equal(
    only(three, () => false),
    null,
  );
});

test("another terminal takes a place; a divider moves only its own fork", () => {
  assert.deepEqual(shown(exchange(three, "second", "show")), ["lab", "show", "third"]);
  const moved = places(move(three, "1", 30));
  assert.equal(moved.frames.get("second")?.height, 30);
  assert.equal(moved.frames.get("lab")?.width, 50);
});

test("only a sound tree is taken from what a browser kept", () => {
  assert.deepEqual(sound(JSON.parse(JSON.stringify(three))), three);
  for (const bad of [null, 3, {}, { axis: "z", share: 50, parts: [leaf("a"), leaf("b")] }, { axis: "x", share: 50 }])
    assert.equal(sound(bad), null);
  /** @type {any} */
  let deep = leaf("a");
  for (let depth = 0; depth < 20; depth += 1) deep = { axis: "x", share: 50, parts: [deep, leaf("b")] };
  assert.equal(sound(deep), null);
  const [low] = [sound({ axis: "x", share: -5, parts: [leaf("a"), leaf("b")] })];
  assert.equal(low && "share" in low && low.share, 15);
});
