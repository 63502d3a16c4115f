/** Claims about the history behind the cgroup charts: rates, quiet times, and a mark for each limit that was written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { History, parentOf } from "../src/views/cgroups/history.js";

const NOTHING = {
  memory_bytes: null,
  memory_limit_bytes: null,
  cache_bytes: null,
  oom_kills: null,
  memory_limit_hits: null,
  cpu_us: null,
  cpu_quota_us: null,
  periods: null,
  throttled_periods: null,
  throttled_us: null,
  pids: null,
  pids_limit: null,
  pids_refused: null,
};

function group(path, at, usage = {}, more = {}) {
  return { path, at, processes: 1, usage: { ...NOTHING, ...usage }, cpu_weight: 100, frozen: false, io: {}, ...more };
}

function after(...tellings) {
  const history = new History();
  const marks = tellings.map((groups) => history.take(groups, 0));
  return { history, marks };
}

test("a second of one CPU within a second is 100 percent", () => {
  const { history } = after([group("/", 10, { cpu_us: 0 })], [group("/", 11, { cpu_us: 1_000_000 })]);
  assert.deepEqual(history.groups.get("/").series.cpu, [null, 100]);
});

test("a quiet time was quiet: what came after it is not spread over it", () => {
  const { history } = after(
    [group("/", 10, { cpu_us: 0, memory_bytes: 5 })],
    [group("/", 31, { cpu_us: 500_000, memory_bytes: 9 }, { since: 30 })],
  );
  const { at, cpu, memory } = history.groups.get("/").series;
  assert.deepEqual(at, [10, 30, 31]);
  assert.deepEqual(cpu, [null, 0, 50]);
  assert.deepEqual(memory, [5, 5, 9]);
});

test("the same reading told twice is one sample", () => {
  const { history } = after([group("/", 10, { cpu_us: 0 })], [group("/", 10, { cpu_us: 0 })]);
  assert.equal(history.groups.get("/").series.at.length, 1);
});

test("throttling is the share of the periods in which the quota stopped it", () => {
  const { history } = after(
    [group("/a", 1, { cpu_us: 0, periods: 10, throttled_periods: 0 })],
    [group("/a", 2, { cpu_us: 1, periods: 20, throttled_periods: 9 })],
    [group("/a", 3, { cpu_us: 1, periods: 20, throttled_periods: 9 })],
  );
  assert.deepEqual(history.groups.get("/a").series.stopped, [0, 90, 0]);
});

test("each limit that is written is marked at that moment, and what was there before is not", () => {
  const { marks } = after(
    [group("/box", 1, { pids_limit: 20 })],
    [group("/box", 2, { pids_limit: 20, memory_limit_bytes: 64 })],
    [group("/box", 3, { pids_limit: null, memory_limit_bytes: 64, cpu_quota_us: 20_000 })],
  );
  const told = (mark) => [mark.what, mark.value, mark.at];
  assert.deepEqual(marks[0], []);
  assert.deepEqual(marks[1].map(told), [["memory_limit", 64, 2]]);
  assert.deepEqual(marks[2].map(told), [
    ["quota", 20, 3],
    ["pids_limit", null, 3],
  ]);
});

test("a new group with a limit has its mark; its usual weight is none", () => {
  const { marks } = after([group("/", 1)], [group("/", 1), group("/box", 2, { pids_limit: 5 })]);
  assert.deepEqual(
    marks[1].map((mark) => mark.what),
    ["pids_limit"],
  );
});

test("a weight, the freezer and a limit of a device are marked", () => {
  const { marks } = after(
    [group("/a", 1)],
    [group("/a", 2, {}, { cpu_weight: 300, frozen: true, io: { "7:1": { wbps: 1024 }, "7:2": { wbps: 512 } } })],
  );
  assert.deepEqual(
    marks[1].map((mark) => [mark.what, mark.value]),
    [
      ["weight", 300],
      ["write_limit", 512],
      ["frozen", 1],
    ],
  );
});

test("killings and refused forks are events with their number", () => {
  const { marks } = after(
    [group("/a", 1, { oom_kills: 1, pids_refused: 0 })],
    [group("/a", 2, { oom_kills: 3, pids_refused: 4 })],
  );
  assert.deepEqual(
    marks[1].map((mark) => [mark.what, mark.value, mark.limit]),
    [
      ["oom_kill", 2, false],
      ["refused", 4, false],
    ],
  );
});

test("a lab that was reset begins anew, and nothing of it is marked", () => {
  const { history, marks } = after(
    [group("/", 1, { cpu_us: 900 }), group("/box", 1)],
    [group("/", 2, { cpu_us: 5 }), group("/new", 2, { pids_limit: 3 })],
  );
  assert.deepEqual(marks[1], []);
  assert.deepEqual([...history.groups.keys()], ["/", "/new"]);
});

test("a group that was removed is gone, one made anew at its path starts from zero", () => {
  const { history } = after(
    [group("/a", 1, { cpu_us: 1000 })],
    [group("/a", 2, { cpu_us: 10 })],
    [group("/a", 3, { cpu_us: 10 })],
    [],
  );
  assert.equal(history.groups.size, 0);
});

test("the tree has each group before what it contains", () => {
  const { history } = after(["/b", "/a-1", "/a/c", "/", "/a"].map((path) => group(path, 1)));
  assert.deepEqual(
    history.tree().map((past) => past.path),
    ["/", "/a", "/a/c", "/a-1", "/b"],
  );
  assert.deepEqual(["/", "/a", "/a/c"].map(parentOf), ["", "/", "/a"]);
});

test("what is kept is bounded", () => {
  const history = new History();
  for (let at = 1; at < 2000; at += 1) history.take([group("/", at, { cpu_us: at, pids_limit: at })], 0);
  assert.ok(history.groups.get("/").series.at.length <= 240);
  assert.ok(history.groups.get("/").series.cpu.length === history.groups.get("/").series.at.length);
  assert.ok(history.marks.length <= 100);
});

test("now is told on the engine's clock, wherever the page is", () => {
  const history = new History();
  history.take([group("/", 5000)], 1_000_000);
  assert.equal(history.now(1_003_000), 5003);
});

test("without a cpuacct group the time is that of the processes in it; one that left does not count backwards", () => {
  const { history } = after(
    [group("/a", 1, {}, { cpu_ticks: 0 })],
    [group("/a", 2, {}, { cpu_ticks: 50 })],
    [group("/a", 3, {}, { cpu_ticks: 10 })],
  );
  assert.deepEqual(history.groups.get("/a").series.cpu, [null, 50, 0]);
});
