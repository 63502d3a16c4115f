/** Claims about the layers view: what is seen through the layers, what is drawn as what, and that it fits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { layout } from "../src/views/layers/layout.js";
import { keysOf, stacks } from "../src/views/layers/model.js";

const file = (path, extra = {}) => ({ path, type: "file", mark: null, size: 2, ...extra });
const directory = (path, mark = null) => file(path, { type: "directory", mark });

/** Three layers: /motd copied up, /bye whited out, /old made anew, /new added, /hosts covered by the middle one. */
function seen(driver = "overlay", modes = ["rw", "ro", "ro"]) {
  const trees = {
    u: [directory("/etc"), file("/etc/motd"), file("/bye", { type: "other", mark: "whiteout" })]
      .concat([directory("/old", "opaque"), file("/old/y"), file("/new")])
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
    a: [file("/hosts"), file("/gone", { type: "other", mark: "whiteout" })],
    b: [
      file("/bye"),
      directory("/etc"),
      file("/etc/motd"),
      file("/gone"),
      file("/hosts"),
      directory("/old"),
      file("/old/x"),
    ],
  };
  const change = (path, kind, below = null, type = "file") => ({ path, kind, type, layer: 0, below });
  const union = {
    driver,
    device: "0:50",
    target: "/m",
    mnt: 3,
    of_lab: false,
    readonly: false,
    layers: modes.map((mode, index) => ({
      path: `/${"uab"[index]}`,
      role: mode === "rw" ? "upper" : "lower",
      mode,
      tree: "uab"[index],
    })),
    changes: [
      change("/bye", "whiteout", 2, "other"),
      change("/etc", "changed", 2, "directory"),
      change("/etc/motd", "changed", 2),
      change("/new", "added"),
      change("/old", "opaque", 2, "directory"),
      change("/old/y", "added"),
    ],
    create: null,
  };
  const told = Object.fromEntries(Object.entries(trees).map(([key, files]) => [key, { files, truncated: false }]));
  return { lab: "l", init: { pid: 1 }, processes: [], namespaces: [], layers: { unions: [union], trees: told } };
}

const states = (row) => row.cells.map((cell) => cell?.state ?? "-").join(" ");
const rowsOf = (observation) => new Map(stacks(observation)[0].rows.map((row) => [row.path, row]));

test("looking down through the layers, the topmost is seen and the rest is covered", () => {
  const rows = rowsOf(seen());
  assert.equal(states(rows.get("/etc/motd")), "seen - covered");
  assert.equal(states(rows.get("/hosts")), "- seen covered");
  assert.equal(states(rows.get("/new")), "seen - -");
});

test("a whiteout hides what lies below it and nothing of it is seen", () => {
  const rows = rowsOf(seen());
  assert.equal(states(rows.get("/bye")), "whiteout - covered");
  assert.equal(rows.get("/bye").visible, false);
  assert.equal(states(rows.get("/gone")), "- whiteout covered");
});

test("an opaque directory hides what the layers below have in it", () => {
  const rows = rowsOf(seen());
  assert.equal(states(rows.get("/old")), "opaque - covered");
  assert.equal(states(rows.get("/old/x")), "- - covered");
  assert.equal(rows.get("/old/x").visible, false);
  assert.equal(rows.get("/old/x").layer, 2);
  assert.equal(rows.get("/old/y").visible, true);
});

test("AUFS heeds marks in a branch only if it was told to", () => {
  assert.equal(rowsOf(seen("aufs_fuse")).get("/gone").visible, true);
  assert.equal(rowsOf(seen("aufs_fuse", ["rw", "ro+wh", "ro"])).get("/gone").visible, false);
});

test("a directory is told by what is in it, unless it is a mark", () => {
  const rows = rowsOf(seen());
  assert.ok(!rows.has("/etc"));
  assert.ok(rows.has("/old"));
});

test("what was copied up from a layer that was not read to its end is still told", () => {
  const cut = seen();
  cut.layers.trees.b = { files: [], truncated: true };
  const row = rowsOf(cut).get("/etc/motd");
  assert.equal(states(row), "seen - covered");
  assert.ok(stacks(cut)[0].cut);
});

test("of an image's many files few are shown, of changes all", () => {
  const many = seen();
  for (let n = 0; n < 200; n += 1) many.layers.trees.b.files.push(file(`/usr/${n}`));
  const [stack] = stacks(many);
  assert.equal(stack.rows.filter((row) => row.kind).length, 5);
  assert.ok(stack.rows.length <= 6);
  assert.equal(stack.left + stack.rows.length, 208);
});

test("one more change gives new keys for itself only", () => {
  const before = new Set(keysOf(seen()));
  const later = seen();
  later.layers.trees.u.files.push(file("/zz"));
  later.layers.unions[0].changes.push({ path: "/zz", kind: "added", type: "file", layer: 0, below: null });
  assert.deepEqual(
    keysOf(later).filter((key) => !before.has(key)),
    ["change:added:0:50:/zz", "file:u:file:/zz"],
  );
});

test("columns stand side by side within the width; a hundred branches leave some out and say so", () => {
  const wide = seen();
  const many = seen();
  for (let n = 3; n < 100; n += 1)
    many.layers.unions[0].layers.push({ path: `/${n}`, role: "lower", mode: "ro", tree: null });
  for (const [observation, room] of [
    [wide, 900],
    [wide, 300],
    [many, 900],
  ]) {
    const { blocks } = layout(stacks(observation), room, { em: 8, cell: () => "whiteout" });
    const [block] = blocks;
    let edge = block.name;
    for (const column of block.columns) {
      assert.equal(column.x, edge);
      edge += column.width;
    }
    assert.ok(edge <= room, `${edge} in ${room}`);
    assert.equal(block.hidden + block.columns.length, block.stack.union.layers.length);
  }
});
