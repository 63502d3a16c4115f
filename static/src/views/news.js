/**
 * What is new: when each thing was first seen, by its key. After a reset all is new, so nothing is. Holds no DOM.
 */

/** How long something counts as new. */
const FRESH_MS = 8000;

export class News {
  constructor() {
    /** when each thing was first seen, 0 = it was there before the page looked @type {Map<string, number>} */
    this.since = new Map();
    /** whose things these are: another lab's, or another start of it, are no news */
    this.of = "";
    /** what came with the last look @type {Set<string>} */
    this.came = new Set();
  }

  /**
   * @param {string} of @param {Iterable<string>} keys of all that is there now @param {number} [now] ms
   * @returns {{first: boolean, came: string[], went: string[]}} what differs from the last look; nothing at the first
   */
  take(of, keys, now = Date.now()) {
    const all = new Set(keys);
    const first = this.of !== of;
    if (first) this.since.clear();
    this.of = of;
    const came = [...all].filter((key) => !this.since.has(key));
    const went = [...this.since.keys()].filter((key) => !all.has(key));
    for (const key of came) this.since.set(key, first ? 0 : now);
    for (const key of went) this.since.delete(key);
    this.came = new Set(first ? [] : came);
    return { first, came: [...this.came], went };
  }

  /** @param {string} key @param {number} [now] @returns {number | null} seconds since it came, while it is new */
  age(key, now = Date.now()) {
    const at = this.since.get(key) ?? 0;
    return at && now - at < FRESH_MS ? Math.floor((now - at) / 1000) : null;
  }

  /** Whether a drawing made now, or the one after it, shows something as new. @param {number} [now] */
  any(now = Date.now()) {
    return [...this.since.values()].some((at) => at && now - at < FRESH_MS + 1500);
  }
}
