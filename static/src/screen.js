/**
 * What a terminal showed, kept in sessionStorage over a reload: the text with its modes and colours (xterm.js serialize)
 * and the offset up to which it is true. With it the server only sends what came after.
 */

/** @typedef {{id: string, consumed: number, rows: number, cols: number, text: string}} Screen */

const PREFIX = "hako:screen:";

/** @param {Screen} screen */
export function saveScreen(screen) {
  try {
    sessionStorage.setItem(PREFIX + screen.id, JSON.stringify(screen));
  } catch {
    sessionStorage.removeItem(PREFIX + screen.id); // full: the ring of the engine stands in for it
  }
}

/** @param {string} id of the engine's terminal @returns {Screen | null} */
export function loadScreen(id) {
  try {
    const screen = JSON.parse(sessionStorage.getItem(PREFIX + id) ?? "null");
    return screen && screen.id === id && Number.isSafeInteger(screen.consumed) ? screen : null;
  } catch {
    return null;
  }
}
