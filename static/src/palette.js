/**
 * Colours of the terminal, by theme. Surface and ink are the page's own tokens; the sixteen ANSI colours are the page's
 * eight marks and their neighbours, so that a screenful looks as if it belonged. xterm.js lifts what falls below 4.5:1.
 */
import { colour, isDark } from "./theme.js";

const LIGHT = {
  black: "#1d1f24",
  red: "#bd413f",
  green: "#067d38",
  yellow: "#806b0d",
  blue: "#2563a8",
  magenta: "#a84797",
  cyan: "#127879",
  white: "#6b6f78",
  brightBlack: "#5a5e68",
  brightRed: "#a02c2a",
  brightGreen: "#05652d",
  brightYellow: "#6a580a",
  brightBlue: "#174f8c",
  brightMagenta: "#8a3079",
  brightCyan: "#0d6061",
  brightWhite: "#1d1f24",
};
const DARK = {
  black: "#3a3f4a",
  red: "#fe847c",
  green: "#48be6a",
  yellow: "#c4a618",
  blue: "#6fb1ff",
  magenta: "#eb84d6",
  cyan: "#14bbbb",
  white: "#d5d3ce",
  brightBlack: "#8a8f9a",
  brightRed: "#ffa39c",
  brightGreen: "#6fd78c",
  brightYellow: "#dfc24a",
  brightBlue: "#97c7ff",
  brightMagenta: "#f5a8e6",
  brightCyan: "#4fd6d6",
  brightWhite: "#ffffff",
};

/** @returns {import("@xterm/xterm").ITheme} */
export function palette() {
  const ink = colour("--ink");
  const sheet = colour("--sheet");
  return {
    ...(isDark() ? DARK : LIGHT),
    background: sheet,
    foreground: ink,
    cursor: ink,
    cursorAccent: sheet,
    selectionBackground: colour("--selection"),
    scrollbarSliderBackground: colour("--scroll"),
    scrollbarSliderHoverBackground: colour("--ink-2"),
    scrollbarSliderActiveBackground: colour("--ink-2"),
  };
}
