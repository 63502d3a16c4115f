/**
 * Theme and sizes: attributes and two custom properties on <html>; tokens.css does the rest. The first value is set by a
 * few lines in base.html before the page is painted, from the same localStorage entry, so that nothing flashes.
 */
import { onPrefs, prefs } from "./prefs.js";

export function applyTheme() {
  const root = document.documentElement;
  root.dataset.theme = prefs.theme;
  root.style.setProperty("--text-size", `${prefs.theme === "projector" ? Math.max(24, prefs.text) : prefs.text}px`);
}

/** Sizes on a projector are at least those the last row can read. @returns {number} px */
export function terminalSize() {
  return prefs.theme === "projector" ? Math.max(28, prefs.terminal) : prefs.terminal;
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
