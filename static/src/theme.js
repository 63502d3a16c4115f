/**
 * Theme and sizes: attributes and two custom properties on <html>; tokens.css does the rest. The first value is set by a
 * few lines in base.html before the page is painted, from the same localStorage entry, so that nothing flashes.
 */
import { onPrefs, prefs, setPrefs } from "./prefs.js";

/** Smallest and largest letters, px, as in settings.html. */
const LIMITS = { text: [13, 44], terminal: [10, 60] };

export function applyTheme() {
  const root = document.documentElement;
  root.dataset.theme = prefs.theme;
  root.style.setProperty("--text-size", `${size("text")}px`);
}

/** The projector theme has sizes of its own. @param {"text" | "terminal"} what @returns {number} px */
export function size(what) {
  if (prefs.theme === "projector") return what === "text" ? prefs.projectorText : prefs.projectorTerminal;
  return prefs[what];
}

/** @param {"text" | "terminal"} what @param {number} px kept within what can be read and shown */
export function setSize(what, px) {
  const [least, most] = LIMITS[what];
  const value = Math.min(most, Math.max(least, px));
  if (prefs.theme !== "projector") setPrefs({ [what]: value });
  else setPrefs(what === "text" ? { projectorText: value } : { projectorTerminal: value });
}

/** @param {string} token a custom property of tokens.css @returns {string} its colour now, as rgb() */
export function colour(token) {
  // A custom property reads back as written (light-dark(…)); as the colour of an element it is resolved.
  const probe = document.createElement("i");
  probe.style.color = `var(${token})`;
  document.documentElement.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** @returns {boolean} */
export function isDark() {
  if (prefs.theme === "dark") return true;
  return prefs.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches;
}

export const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** @param {() => void} fn called when colours or sizes may have changed */
export function onTheme(fn) {
  onPrefs(fn);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fn);
}
