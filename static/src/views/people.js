/** Who lives in a namespace, in the words people know them by: the host name they have of their own, the first program. */
import { plain } from "../dom.js";
import { t } from "../strings.js";

/** @typedef {import("../types.js").Observation} Observation */
/** @typedef {import("../types.js").Process} Process */

/** @param {Observation} seen @param {(process: Process) => boolean} lives @returns {string} "" where nobody does */
export function whose(seen, lives) {
  const first = seen.processes.find(lives);
  if (!first) return "";
  const uts = seen.namespaces.find((one) => one.kind === "uts" && one.inode === first.ns.uts);
  const host = uts && !uts.of_lab ? plain(uts.hostname ?? "", 16) : "";
  const who = `${plain(first.comm, 16)} ${t("views.pid", { pid: first.nspid.at(-1) ?? first.pid })}`;
  return [host, who].filter(Boolean).join(" · ");
}
