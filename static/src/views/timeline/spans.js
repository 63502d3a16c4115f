/**
 * From a plan with times to spans on one axis. When a step failed, those after it were not begun, and of those that the
 * container's own process had taken before it the times were lost with that process. Holds no DOM.
 */

/**
 * A step as engine/observe/lastplan.py tells it.
 * @typedef {object} Step
 * @property {string} kind
 * @property {"engine" | "zygote" | "child"} where
 * @property {string} man
 * @property {{en: string, ja: string}} text
 * @property {string[]} kinds           of namespaces
 * @property {number | null} at_us      from the first step's beginning
 * @property {number | null} took_us
 *
 * @typedef {object} Plan
 * @property {string} name
 * @property {string} image
 * @property {string[]} argv
 * @property {number} at                when it was run, unix seconds
 * @property {number | null} failed     index of the step that did not work
 * @property {Step[]} steps
 *
 * @typedef {object} Span
 * @property {number} number
 * @property {Step} step
 * @property {number} at
 * @property {number} took
 * @property {"timed" | "taken" | "failed" | "untaken"} state
 */

/** @param {Plan} plan @returns {{steps: Span[], total: number}} in microseconds */
export function spans({ steps, failed }) {
  const found = steps.map((step, index) => ({
    number: index + 1,
    step,
    at: step.at_us ?? 0,
    took: step.took_us ?? 0,
    state: stateOf(step, index, failed),
  }));
  return { steps: found, total: Math.max(0, ...found.map(({ at, took }) => at + took)) };
}

/** @param {Step} step @param {number} index @param {number | null} failed @returns {Span["state"]} */
function stateOf(step, index, failed) {
  if (index === failed) return "failed";
  if (failed !== null && index > failed) return "untaken";
  return step.at_us === null || step.took_us === null ? "taken" : "timed";
}

/** Short and of equal places, so that a column of them can be compared. @param {number | null} us @returns {string} */
export function milliseconds(us) {
  if (us === null) return "–";
  const ms = us / 1000;
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(3)}\u00a0ms`;
}
