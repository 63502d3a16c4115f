/** Claims about the namespaces view: how processes become nested groups, and that what is drawn fits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cells, layout } from "../src/views/layout.js";
import { groups, keysOf } from "../src/views/model.js";

const LAB = { user: 1, pid: 2, mnt: 3, net: 4, uts: 5, ipc: 6, cgroup: 7, time: 8 };

function process(pid, own = {}, extra = {}) {
  return { pid, nspid: [pid - 100], start: 1, comm: "bash", argv: ["bash"], ns: { ...LAB, ...own }, ...extra };
}

function observation(processes, more = []) {
  const namespaces = Object.entries(LAB).map(([kind, inode]) => ({ kind, inode, processes: [101], of_lab: true }));
  return { lab: "l", init: { pid: 101, ns: LAB }, processes, namespaces: [...namespaces, ...more] };
}

test("processes like the lab stand in the lab", () => {
  const root = groups(observation([process(101), process(102)]));
  assert.equal(root.processes.length, 2);
  assert.equal(root.children.length, 0);
  assert.equal(root.named.length, 8);
});

test("a group stands in the one whose differences are the most of its own", () => {
  const root = groups(
    observation([
      process(101),
      process(102, { uts: 50 }),
      process(103, { uts: 50, pid: 20, mnt: 30 }),
      process(104, { net: 40 }),
    ]),
  );
  assert.deepEqual(
    root.children.map((child) => child.added.map((one) => one.kind)),
    [["uts"], ["net"]],
  );
  const [inner] = root.children[0].children;
  assert.deepEqual(
    inner.added.map((one) => one.kind),
    ["pid", "mnt"],
  );
});

test("two shells in one namespace share a group", () => {
  const root = groups(observation([process(101), process(102, { uts: 50 }), process(103, { uts: 50 })]));
  assert.equal(root.children.length, 1);
  assert.equal(root.children[0].processes.length, 2);
});

test("a namespace that only a mount keeps is a group without processes", () => {
  const kept = { kind: "uts", inode: 99, processes: [], kept_by: "mount", of_lab: false };
  const root = groups(observation([process(101)], [kept]));
  assert.equal(root.children[0].keptBy, "mount");
});

test("no group is lost, however processes differ", () => {
  const processes = [process(101)];
  for (let pid = 0; pid < 60; pid += 1)
    processes.push(process(200 + pid, { uts: 50 + (pid % 4), pid: 20 + (pid % 3), net: pid % 5 ? 4 : 40 }));
  const count = (group) => group.processes.length + group.children.reduce((sum, child) => sum + count(child), 0);
  assert.equal(count(groups(observation(processes))), processes.length);
});

test("keys tell a reused pid from the process before it", () => {
  const [before] = [...keysOf({ processes: [process(7)], namespaces: [] })];
  const [after] = [...keysOf({ processes: [process(7, {}, { start: 2 })], namespaces: [] })];
  assert.notEqual(before, after);
});

const words = {
  em: 8,
  title: (group) => (group.key ? "" : "lab"),
  note: () => "",
  chip: (one) => String(one.inode),
  name: (one) => one.argv.join(" "),
  numbers: () => "pid 1 (25 in the lab)",
  shortNumbers: () => "pid 1",
  here: () => false,
};

test("everything stands inside its box at every width", () => {
  const processes = [process(101)];
  const own = {};
  for (const [index, kind] of Object.keys(LAB).entries()) {
    own[kind] = 4026530000 + index;
    processes.push(process(110 + index, { ...own }, { argv: ["a".repeat(30)] }));
  }
  const check = (box) => {
    for (const spot of box.spots) assert.ok(spot.x + spot.width <= box.width, `${spot.name} in ${box.width}`);
    for (const child of box.children) {
      assert.ok(child.x + child.width <= box.width + 0.01, `child ${child.width} in ${box.width}`);
      assert.ok(child.y + child.height <= box.height);
      check(child);
    }
  };
  for (const room of [420, 600, 1200]) check(layout(groups(observation(processes)), room, words));
});

test("Japanese letters are counted as two cells", () => {
  assert.equal(cells("abc"), 3);
  assert.equal(cells("名前 a"), 6);
});
