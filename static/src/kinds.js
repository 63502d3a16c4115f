/**
 * The eight kinds of namespace: one letter, one colour and one line each, the same in chips, frames and drawings.
 * Colours are tokens (--ns-KIND) so that they follow the theme; lines are SVG dash patterns in px. Data only.
 */
/** @typedef {{letter: string, dash: string, width: number, double?: boolean}} Mark */

/** In drawing order, outermost first. @type {Record<string, Mark>} */
export const KINDS = {
  user: { letter: "U", dash: "", width: 1.5, double: true },
  pid: { letter: "P", dash: "", width: 1.75 },
  mnt: { letter: "M", dash: "11 5", width: 1.75 },
  net: { letter: "N", dash: "9 4 1.5 4", width: 1.75 },
  uts: { letter: "H", dash: "0.1 4.5", width: 2.4 },
  ipc: { letter: "I", dash: "4.5 3.5", width: 1.75 },
  cgroup: { letter: "C", dash: "", width: 0.9 },
  time: { letter: "T", dash: "0.1 9", width: 2.6 },
};

export const ORDER = Object.keys(KINDS);

/** @param {string[]} kinds @returns {string[]} the known ones in drawing order */
export function ordered(kinds) {
  return ORDER.filter((kind) => kinds.includes(kind));
}
