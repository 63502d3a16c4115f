/** Numbers and limits of a group in words: in the heads of the charts, in the table, for screen readers. */
import { plain } from "../../dom.js";
import { lang, t } from "../../strings.js";
import { limitsOf, percent, spent } from "./history.js";

/** @typedef {import("./history.js").GroupUsage} GroupUsage */
/** @typedef {import("./history.js").Past} Past */
/** @typedef {"cpu" | "memory" | "pids" | "io"} ChartName */

/** @type {ChartName[]} */
export const CHARTS = ["cpu", "memory", "pids", "io"];

/** @param {number} value bytes @returns {string} */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let left = value;
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${short(left)}\u00a0${units[unit]}`;
}

/** Two figures where they matter. @param {number} value */
function short(value) {
  return Number.isInteger(value) || value >= 10 ? String(Math.round(value)) : value.toFixed(1);
}

/** @param {number} value percent */
export function share(value) {
  return `${short(value)}\u00a0%`;
}

/** @param {string} what of history's limits and events @param {number | null} value @returns {string} as "64 MiB" */
export function amount(what, value) {
  if (value === null) return t("cgroups.none");
  if (what === "quota") return share(value);
  if (what === "memory_limit") return bytes(value);
  if (what === "write_limit" || what === "read_limit") return t("cgroups.rate", { amount: bytes(value) });
  return String(value);
}

/** @param {string} what @param {number | null} value @returns {string} a limit or an event as a phrase */
export function phrase(what, value) {
  if (what === "frozen") return t(value ? "cgroups.frozen" : "cgroups.thawed");
  return t(`cgroups.is_${what}`, { amount: amount(what, value) });
}

/** The last part of a path is its name; the top group is the lab itself. @param {string} path */
export function nameOf(path) {
  if (path === "/") return t("cgroups.top");
  const name = path.slice(path.lastIndexOf("/") + 1);
  // The engine in a lab names a container's group by 64 digits.
  return plain(/^[0-9a-f]{64}$/.test(name) ? name.slice(0, 12) : name, 24);
}

/**
 * What stands above a chart: what is used, of how much, and what the limit did to it.
 * @param {ChartName} chart @param {Past} past
 * @returns {{now: string, limit: {what: string, value: number} | null, bit: string} | null} null: not kept for this group
 */
export function head(chart, past) {
  const { now, series } = past;
  const { usage } = now;
  const last = (/** @type {(number | null)[]} */ column) => column.at(-1) ?? 0;
  const limit = (/** @type {string} */ what) => limitsOf(now).find((one) => one.what === what) ?? null;
  if (chart === "cpu") {
    if (spent(now) === null) return null;
    const stopped = last(series.stopped);
    const bit = stopped > 0 ? t("cgroups.stopped", { share: share(stopped) }) : "";
    return { now: share(last(series.cpu)), limit: limit("quota") ?? limit("weight"), bit };
  }
  if (chart === "memory") {
    if (usage.memory_bytes === null) return null;
    const bit = usage.oom_kills ? t("cgroups.is_oom_kill", { amount: usage.oom_kills }) : "";
    return { now: bytes(usage.memory_bytes), limit: limit("memory_limit"), bit };
  }
  if (chart === "pids") {
    if (usage.pids === null) return null;
    const bit = usage.pids_refused ? t("cgroups.is_refused", { amount: usage.pids_refused }) : "";
    return { now: String(usage.pids), limit: limit("pids_limit"), bit };
  }
  return io(past, limit);
}

/** @param {Past} past @param {(what: string) => {what: string, value: number} | null} limit */
function io({ now, series }, limit) {
  if (!Object.keys(now.io).length) return null;
  const [written, read] = [series.written.at(-1) ?? 0, series.read.at(-1) ?? 0];
  const reads = limit("read_limit");
  const what = read > written || (reads && !limit("write_limit")) ? "read" : "write";
  const used = t(`cgroups.${what}s`, { amount: bytes(what === "read" ? read : written) });
  return { now: used, limit: what === "read" ? reads : limit("write_limit"), bit: "" };
}

/** @param {ReturnType<typeof head>} told @returns {string} in one phrase, for tables and names */
export function sentenceOf(told) {
  if (!told) return "–";
  const limit = told.limit ? limitWord(told.limit) : "";
  return [told.now, limit, told.bit && `(${told.bit})`].filter(Boolean).join(" ");
}

/** @param {{what: string, value: number}} limit */
export function limitWord({ what, value }) {
  if (what === "weight") return phrase(what, value);
  return t("cgroups.of", { amount: amount(what, value) });
}

/** @param {Past} past @returns {number} processes right in it */
export function processes({ now }) {
  return Array.isArray(now.processes) ? now.processes.length : now.processes;
}

/** @param {number} unix seconds @returns {string} to the second: several limits may be written in one minute */
export function moment(unix) {
  return new Date(unix * 1000).toLocaleTimeString(lang(), { hour12: false });
}

/** CPU seconds so far: what is left when the chart has passed. @param {GroupUsage} group */
export function seconds(group) {
  const used = spent(group);
  return used === null ? "–" : t("cgroups.seconds", { amount: (used / 1e6).toFixed(1) });
}

/** @param {GroupUsage} group @returns {string} */
export function throttled({ usage }) {
  if (!usage.throttled_periods) return percent(usage.cpu_quota_us) === null ? "–" : "0";
  return t("cgroups.periods", { stopped: usage.throttled_periods, all: usage.periods ?? 0 });
}
