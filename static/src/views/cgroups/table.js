/** The cgroups view as tables: what each group uses of what it may, and the limits in the order in which they were written. */
import { h, plain } from "../../dom.js";
import { t } from "../../strings.js";
import { viewTable } from "../parts.js";
import { head, moment, nameOf, phrase, processes, seconds, sentenceOf, throttled } from "./words.js";

/** @typedef {import("./history.js").History} History */
/** @typedef {import("./history.js").Past} Past */

const COLUMNS = ["group", "count", "cpu", "spent", "throttled", "memory", "pids", "io", "state"];

/** @param {History} history @param {import("../live.js").Fresh} fresh @returns {HTMLElement} */
export function drawTable(history, fresh) {
  const rows = history.tree().map((past) => groupRow(past, fresh));
  const usage = table("views.cgroups", COLUMNS, rows);
  if (!history.marks.length) return h("div", {}, usage);
  const marks = [...history.marks]
    .reverse()
    .map((mark) =>
      h(
        "tr",
        {},
        h("td", { class: "number" }, moment(mark.at)),
        h("th", { scope: "row" }, nameOf(mark.path)),
        h("td", {}, phrase(mark.what, mark.value)),
      ),
    );
  return h("div", {}, usage, table("cgroups.marks", ["time", "group", "written"], marks, true));
}

/** @param {Past} past @param {import("../live.js").Fresh} fresh */
function groupRow(past, fresh) {
  const { now, path } = past;
  const news = fresh(`group:${path}`);
  const cell = (/** @type {string} */ text) => h("td", {}, text);
  const weight = now.cpu_weight !== null && now.cpu_weight !== 100 ? phrase("weight", now.cpu_weight) : "";
  const state = [now.frozen ? t("cgroups.frozen") : "", news].filter(Boolean).join(", ");
  const cpu = sentenceOf(head("cpu", past));
  return h(
    "tr",
    { class: news ? "fresh" : null },
    h("th", { scope: "row" }, path === "/" ? nameOf(path) : plain(path, 60)),
    h("td", { class: "number" }, String(processes(past))),
    cell(weight && !cpu.includes(weight) ? `${cpu}, ${weight}` : cpu),
    cell(seconds(now)),
    cell(throttled(now)),
    cell(sentenceOf(head("memory", past))),
    cell(sentenceOf(head("pids", past))),
    cell(sentenceOf(head("io", past))),
    cell(state || "–"),
  );
}

/** @param {string} caption @param {string[]} columns @param {HTMLElement[]} rows @param {boolean} [seen] */
function table(caption, columns, rows, seen = false) {
  const heads = columns.map((name) => t(`cgroups.col_${name}`));
  return viewTable("cg-table", h("caption", { class: seen ? "cg-caption" : "unseen" }, t(caption)), heads, rows);
}
