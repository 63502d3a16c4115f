/** What is written in the layers drawing. Paths are a learner's: plain text, cut at the front, where they differ least. */
import { plain } from "../../dom.js";
import { t } from "../../strings.js";
import { cells } from "../layout.js";
import { whose } from "../people.js";

/** @typedef {import("../../types.js").Observation} Observation */
/** @typedef {import("../../types.js").Union} Union */
/** @typedef {import("./model.js").Row} Row */
/** @typedef {import("./model.js").Stack} Stack */

/** The layer's role, and its number where there are several. @param {Union} union @param {number} index */
export function roleOf(union, index) {
  const layer = union.layers[index];
  if (union.driver !== "overlay") return t("views.branch", { number: index, mode: layer.mode });
  const alike = union.layers.filter((other) => other.role === layer.role);
  if (layer.role === "upper") return t("views.upper");
  return alike.length > 1 ? t("views.lower_n", { number: alike.indexOf(layer) + 1 }) : t("views.lower");
}

/**
 * Where it is mounted, what serves it, whose it is.
 * @param {Union} union @param {Observation} seen @param {number} [most] cells: the path gives way first
 */
export function headOf(union, seen, most = 200) {
  if (union.of_lab) return t("views.union_of_lab", { count: union.layers.length });
  const lab = seen.init.ns?.mnt;
  const people = union.mnt === lab ? "" : whose(seen, (process) => process.ns.mnt === union.mnt);
  const facts = [
    { overlay: t("views.overlay"), aufs: t("views.aufs"), aufs_fuse: t("views.aufs_fuse") }[union.driver],
    union.readonly ? t("views.readonly") : "",
    union.create ? `create=${plain(union.create, 20)}` : "",
    people,
  ];
  const rest = facts.filter(Boolean).join(" · ");
  return `${tail(union.target, Math.max(10, Math.min(60, most - cells(rest) - 3)))} · ${rest}`;
}

/** @param {Row} row @returns {string} "" for one that nobody changed */
export function kindOf(row) {
  return {
    added: t("views.added"),
    changed: t("views.copied_up"),
    whiteout: t("views.whiteout"),
    opaque: t("views.opaque"),
    "": "",
  }[row.kind];
}

/** The end of a path. @param {string} path @param {number} most cells */
export function tail(path, most) {
  const text = plain(path, 4096);
  return text.length > most ? `…${text.slice(1 - most)}` : text;
}

/** @param {import("./model.js").Cell} cell @param {boolean} changed the layer's own doing: told by the word beside */
export function cellText(cell, changed) {
  if (changed || cell.size === null) return "";
  return bytes(cell.size);
}

/** @param {number} size */
export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = size / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A row as a sentence, for who does not see it. @param {Stack} stack @param {Row} row */
export function rowLabel({ union }, row) {
  const path = plain(row.path, 120);
  const at = roleOf(union, row.layer);
  const below = row.below === null ? "" : roleOf(union, row.below);
  if (row.kind === "added") return t("views.row_added", { path, at });
  if (row.kind === "changed") return t("views.row_changed", { path, at, below });
  if (row.kind === "whiteout")
    return below ? t("views.row_whiteout", { path, at, below }) : t("views.row_whiteout_idle", { path, at });
  if (row.kind === "opaque") return t("views.row_opaque", { path, at, below });
  return row.visible ? t("views.row_seen", { path, at }) : t("views.row_hidden", { path });
}
