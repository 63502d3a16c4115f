/**
 * What is written in the drawing: of a namespace its number and the one fact that makes it itself, of a process its
 * command and its pids. Everything here comes from a learner's processes: plain text, cut.
 */
import { plain } from "../dom.js";
import { t } from "../strings.js";

/** @typedef {import("../types.js").Namespace} Namespace */
/** @typedef {import("../types.js").Process} Process */
/** @typedef {import("../types.js").Observation} Observation */

/**
 * @param {Observation} seen
 * @param {Map<number, string>} front pid of the process in front to the name of its terminal
 * @returns {import("./layout.js").Words}
 */
export function wordsOf(seen, front) {
  return {
    em: 7.83, // JetBrains Mono at 13 px is 0.6 em: 7.8, and a hair so that rounding never clips
    title: (group) => (group.key ? "" : t("views.lab")),
    note: (group) => (group.keptBy ? t(`views.kept_${group.keptBy}`) : ""),
    chip: (one) => [String(one.inode), fact(one, seen)].filter(Boolean).join(" "),
    name: (one) => plain(command(one), 26),
    numbers: (one) => pids(one, front, true),
    shortNumbers: (one) => pids(one, front, false),
    here: (one) => front.has(one.pid),
  };
}

/** The lab's own namespaces only have their numbers. @param {Namespace} one @param {Observation} seen @returns {string} */
export function fact(one, seen) {
  if (one.kind === "uts") return plain(one.hostname ?? "", 20);
  if (one.of_lab) return "";
  if (one.kind === "user") return one.uid_map ? idMap(one.uid_map) : "";
  if (one.kind === "net") return links(seen.links?.[String(one.inode)] ?? []);
  if (one.kind === "time") return offsets(one.time_offsets ?? {});
  return "";
}

/** @param {[number, number, number][]} map */
function idMap(map) {
  if (!map.length) return t("views.no_map");
  const [[inside, outside, count]] = map;
  return `uid ${inside}→${outside}${count > 1 ? ` ×${count}` : ""}${map.length > 1 ? " …" : ""}`;
}

/** @param {{name: string, up: boolean}[]} all */
function links(all) {
  const names = all.slice(0, 3).map((link) => `${plain(link.name, 15)} ${t(link.up ? "views.up" : "views.down")}`);
  return names.join(", ") + (all.length > 3 ? " …" : "");
}

/** @param {Record<string, number>} clocks */
function offsets(clocks) {
  const shifted = Object.entries(clocks).filter(([, seconds]) => seconds !== 0);
  return shifted.map(([clock, seconds]) => `${plain(clock, 12)} ${seconds > 0 ? "+" : ""}${seconds} s`).join(", ");
}

/** As typed, without the path of the program. @param {Process} one */
function command({ argv, comm }) {
  const [program = comm, ...rest] = argv;
  return [program.replace(/^.*\/(?=.)/, ""), ...rest].join(" ");
}

/**
 * Its pid in its own namespace, in the lab's where that is another, and the terminal whose keys go to it.
 * @param {Process} one @param {Map<number, string>} front @param {boolean} both
 */
function pids(one, front, both) {
  const own = t("views.pid", { pid: one.nspid.at(-1) ?? one.pid });
  const lab = both && one.nspid.length > 1 ? ` ${t("views.pid_lab", { pid: one.nspid[0] })}` : "";
  const terminal = front.get(one.pid);
  return own + lab + (terminal ? ` · ${terminal}` : "");
}
