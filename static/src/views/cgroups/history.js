/**
 * What the charts of the cgroups are drawn from: samples of each group's counters over the last minutes, as levels and rates,
 * and a mark for every limit that changed and every time one bit. Times are the engine's, in seconds: the page may be on
 * another machine with another clock. Holds no DOM.
 */

/**
 * A group as engine/observe/model.py tells it, without its members.
 * @typedef {object} GroupUsage
 * @property {string} path            "/" is the learner's top group
 * @property {number} at              when its counters were read, on the engine's clock
 * @property {number} [since]         until then they stood as they were told before
 * @property {number | number[]} processes  right in it: how many, or which
 * @property {Record<"memory_bytes" | "memory_limit_bytes" | "oom_kills" | "cpu_us" | "cpu_quota_us" | "periods" |
 *   "throttled_periods" | "throttled_us" | "pids" | "pids_limit" | "pids_refused", number | null>} usage
 * @property {number} [cpu_ticks]     CPU time of the processes right in it, in hundredths of a second
 * @property {number | null} cpu_weight
 * @property {boolean | null} frozen
 * @property {Record<string, Record<string, number>>} io  "major:minor" to rbps, wbps (limits), read, written (bytes so far)
 */

/** Samples kept of a group: one a second at most, for more than is shown. */
const KEPT = 240;
/** Marks kept of all groups. */
const MARKS = 100;

/**
 * One column of numbers for each line; null where the kernel keeps no such counter, or for a rate before the second sample.
 * @typedef {object} Series
 * @property {number[]} at
 * @property {(number | null)[]} cpu       percent of one CPU
 * @property {(number | null)[]} stopped   percent of the periods in which the quota stopped it
 * @property {(number | null)[]} quota     percent of one CPU
 * @property {(number | null)[]} memory    bytes
 * @property {(number | null)[]} memory_limit
 * @property {(number | null)[]} pids
 * @property {(number | null)[]} pids_limit
 * @property {(number | null)[]} written   bytes a second
 * @property {(number | null)[]} read
 * @property {(number | null)[]} write_limit
 * @property {(number | null)[]} read_limit
 */

/**
 * @typedef {object} Mark
 * @property {number} at
 * @property {string} path
 * @property {string} what   of LIMITS or EVENTS
 * @property {"cpu" | "memory" | "pids" | "io"} chart
 * @property {number | null} value  the limit now, null for none; of an event how many
 * @property {boolean} limit
 */

/** @typedef {{path: string, now: GroupUsage, series: Series}} Past */

/** @type {Record<string, {chart: Mark["chart"], of: (group: GroupUsage) => number | null, none?: number}>} */
const LIMITS = {
  quota: { chart: "cpu", of: (group) => percent(group.usage.cpu_quota_us) },
  weight: { chart: "cpu", of: (group) => group.cpu_weight, none: 100 },
  memory_limit: { chart: "memory", of: (group) => group.usage.memory_limit_bytes },
  pids_limit: { chart: "pids", of: (group) => group.usage.pids_limit },
  write_limit: { chart: "io", of: (group) => least(group, "wbps") },
  read_limit: { chart: "io", of: (group) => least(group, "rbps") },
  frozen: { chart: "cpu", of: (group) => (group.frozen ? 1 : null) },
};

/** @type {Record<string, {chart: Mark["chart"], of: (group: GroupUsage) => number | null}>} */
const EVENTS = {
  oom_kill: { chart: "memory", of: (group) => group.usage.oom_kills },
  refused: { chart: "pids", of: (group) => group.usage.pids_refused },
};

export class History {
  constructor() {
    /** @type {Map<string, Past>} */
    this.groups = new Map();
    /** @type {Mark[]} */
    this.marks = [];
    this.first = true;
    /** engine's clock minus ours, in seconds */
    this.ahead = 0;
    /** when something last moved, on the engine's clock */
    this.moved = 0;
  }

  /** @param {number} [ms] our clock @returns {number} the engine's now, in seconds */
  now(ms = Date.now()) {
    return ms / 1000 + this.ahead;
  }

  /** @param {GroupUsage[]} groups all of a lab @param {number} [ms] our clock @returns {Mark[]} new ones */
  take(groups, ms = Date.now()) {
    if (this.isAnother(groups)) this.forget();
    const newest = Math.max(0, ...groups.map((group) => group.at));
    if (newest) this.ahead = newest - ms / 1000;
    const before = this.marks.length;
    const paths = new Set(groups.map((group) => group.path));
    for (const path of this.groups.keys()) if (!paths.has(path)) this.groups.delete(path);
    for (const group of groups) this.takeOne(group);
    this.first = false;
    this.moved = newest;
    const fresh = this.marks.slice(before);
    this.marks = this.marks.slice(-MARKS);
    return fresh;
  }

  /** The lab was reset: its counters began anew. @param {GroupUsage[]} groups */
  isAnother(groups) {
    const top = groups.find((group) => group.path === "/");
    const known = this.groups.get("/")?.now;
    return Boolean(top && known && (top.usage.cpu_us ?? 0) < (known.usage.cpu_us ?? 0));
  }

  forget() {
    this.groups.clear();
    this.marks = [];
    this.first = true;
  }

  /** @param {GroupUsage} group */
  takeOne(group) {
    const known = this.groups.get(group.path);
    if (!this.first) this.compare(group, known?.now ?? null);
    // One path, removed and made again between two looks, is another group.
    const again = known && (group.usage.cpu_us ?? 0) >= (known.now.usage.cpu_us ?? 0);
    if (!known || !again) {
      const series = empty();
      push(series, group, null);
      this.groups.set(group.path, { path: group.path, now: group, series });
    } else if (group.at > known.now.at) {
      const since = group.since ?? known.now.at;
      // Nothing was told because nothing changed: until `since` all rates were zero, and all levels as they were.
      if (since > known.now.at) push(known.series, { ...known.now, at: since }, known.now);
      push(known.series, group, { ...known.now, at: Math.max(since, known.now.at) });
      known.now = group;
    } else known.now = group;
  }

  /** @param {GroupUsage} group @param {GroupUsage | null} before null: it was not there */
  compare(group, before) {
    for (const [what, { chart, of, none = null }] of Object.entries(LIMITS)) {
      const value = of(group);
      const old = before ? of(before) : none;
      // A file that could not be read says nothing of a limit.
      if (value !== old && !(value === null && none !== null))
        this.marks.push({ at: group.at, path: group.path, what, chart, value, limit: true });
    }
    for (const [what, { chart, of }] of Object.entries(EVENTS)) {
      const more = (of(group) ?? 0) - (before ? (of(before) ?? 0) : 0);
      if (more > 0) this.marks.push({ at: group.at, path: group.path, what, chart, value: more, limit: false });
    }
  }

  /** In the order of a tree: each group before what it contains. @returns {Past[]} */
  tree() {
    return [...this.groups.values()].sort((a, b) => order(a.path, b.path));
  }

  /** @param {string} path @param {Mark["chart"]} chart */
  marksOf(path, chart) {
    return this.marks.filter((mark) => mark.path === path && mark.chart === chart);
  }
}

/** @param {string} path @returns {string} the path of the group that contains it; "" for "/" */
export function parentOf(path) {
  return path === "/" ? "" : path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

/** @param {string} a @param {string} b */
function order(a, b) {
  const [left, right] = [a.split("/"), b.split("/")];
  if (a === "/" || b === "/") return a === b ? 0 : a === "/" ? -1 : 1;
  for (let at = 0; at < Math.min(left.length, right.length); at += 1)
    if (left[at] !== right[at]) return left[at] < right[at] ? -1 : 1;
  return left.length - right.length;
}

/** @param {number | null} quota in microseconds of each 100 ms @returns {number | null} percent of one CPU */
export function percent(quota) {
  return quota === null || quota === undefined ? null : quota / 1000;
}

/** The limit of the device that has the lowest. @param {GroupUsage} group @param {string} name @returns {number | null} */
export function least(group, name) {
  const all = Object.values(group.io).flatMap((device) => (name in device ? [device[name]] : []));
  return all.length ? Math.min(...all) : null;
}

/**
 * What goes to a lab's disk, a loop device, is counted there and once more on the disk below it: not a sum, the most.
 * @param {GroupUsage} group @param {string} name @returns {number | null}
 */
function most(group, name) {
  const all = Object.values(group.io).flatMap((device) => (name in device ? [device[name]] : []));
  return all.length ? Math.max(...all) : null;
}

/**
 * Without a cpuacct group (v1, where it may be a tree of its own) the CPU time is that of the processes now in the group.
 * @param {GroupUsage} group @returns {number | null} microseconds
 */
export function spent({ usage, cpu_ticks, cpu_weight }) {
  return usage.cpu_us ?? (cpu_weight === null || cpu_ticks === undefined ? null : cpu_ticks * 10_000);
}

/** @returns {Series} */
function empty() {
  return {
    at: [],
    cpu: [],
    stopped: [],
    quota: [],
    memory: [],
    memory_limit: [],
    pids: [],
    pids_limit: [],
    written: [],
    read: [],
    write_limit: [],
    read_limit: [],
  };
}

/** @param {Series} series @param {GroupUsage} group @param {GroupUsage | null} before */
function push(series, group, before) {
  const { usage } = group;
  const seconds = before ? group.at - before.at : 0;
  const rate = (/** @type {number | null} */ now, /** @type {number | null | undefined} */ then, scale = 1) =>
    before && seconds > 0 && now !== null ? (Math.max(0, now - (then ?? 0)) / seconds) * scale : null;
  const periods = before ? (usage.periods ?? 0) - (before.usage.periods ?? 0) : 0;
  const stopped = before ? (usage.throttled_periods ?? 0) - (before.usage.throttled_periods ?? 0) : 0;
  const row = {
    at: group.at,
    cpu: rate(spent(group), before && spent(before), 1e-4),
    stopped: usage.throttled_periods === null ? null : periods > 0 ? Math.min(100, (100 * stopped) / periods) : 0,
    quota: percent(usage.cpu_quota_us),
    memory: usage.memory_bytes,
    memory_limit: usage.memory_limit_bytes,
    pids: usage.pids,
    pids_limit: usage.pids_limit,
    written: rate(most(group, "written"), before && most(before, "written")),
    read: rate(most(group, "read"), before && most(before, "read")),
    write_limit: least(group, "wbps"),
    read_limit: least(group, "rbps"),
  };
  for (const [name, value] of Object.entries(row)) {
    const column = /** @type {(number | null)[]} */ (series[/** @type {keyof Series} */ (name)]);
    column.push(value);
    if (column.length > KEPT) column.splice(0, column.length - KEPT);
  }
}

/** The limits that are set, as they are written in keys and words. @param {GroupUsage} group @returns {{what: string, value: number}[]} */
export function limitsOf(group) {
  return Object.entries(LIMITS).flatMap(([what, { of, none = null }]) => {
    const value = of(group);
    return value === null || value === none ? [] : [{ what, value }];
  });
}
