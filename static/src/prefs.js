/**
 * What this browser remembers of how a person likes the page: theme, sizes, where the dividers stand.
 * localStorage may be absent or full (private windows): then the page works and forgets.
 */

/**
 * @typedef {object} Prefs
 * @property {"auto" | "light" | "dark" | "projector"} theme
 * @property {number} text        size of the text in px
 * @property {number} terminal    size of the terminal's letters in px
 * @property {number} projectorText  the same two in the projector theme: what the last row reads is no size for a desk
 * @property {number} projectorTerminal
 * @property {boolean} reader     xterm.js screenReaderMode: costly, so off unless asked for
 * @property {Record<string, number>} dividers  position in percent by divider name
 * @property {unknown} splits     how the terminals were arranged, as splits.js reads it
 * @property {"drawing" | "table"} view
 * @property {boolean} notes      the instructor's notes are open
 */

const KEY = "hako:prefs";
/** @type {Prefs} */
export const DEFAULTS = {
  theme: "auto",
  text: 17,
  terminal: 15,
  projectorText: 24,
  projectorTerminal: 28,
  reader: false,
  dividers: {},
  splits: null,
  view: "drawing",
  notes: false,
};

/** @returns {Prefs} */
function load() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...DEFAULTS }; // no storage, or not ours: defaults are always right
  }
}

export const prefs = load();
const changes = new EventTarget();

/** @param {Partial<Prefs>} values */
export function setPrefs(values) {
  Object.assign(prefs, values);
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch {
    // full or forbidden: the choice lasts as long as the page
  }
  changes.dispatchEvent(new Event("change"));
}

/** @param {() => void} fn called after every change */
export function onPrefs(fn) {
  changes.addEventListener("change", fn);
}
