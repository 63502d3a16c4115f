/** The Lucide icons the page uses, as SVG text put into the bundle by esbuild. */

import smaller from "lucide-static/icons/a-arrow-down.svg";
import larger from "lucide-static/icons/a-arrow-up.svg";
import arrowLeft from "lucide-static/icons/arrow-left.svg";
import arrowRight from "lucide-static/icons/arrow-right.svg";
import text from "lucide-static/icons/book-open.svg";
import check from "lucide-static/icons/check.svg";
import chevronDown from "lucide-static/icons/chevron-down.svg";
import chevronUp from "lucide-static/icons/chevron-up.svg";
import circle from "lucide-static/icons/circle.svg";
import circleCheck from "lucide-static/icons/circle-check.svg";
import circleDot from "lucide-static/icons/circle-dot.svg";
import circlePause from "lucide-static/icons/circle-pause.svg";
import circleHelp from "lucide-static/icons/circle-question-mark.svg";
import circleSlash from "lucide-static/icons/circle-slash.svg";
import columns from "lucide-static/icons/columns-2.svg";
import contrast from "lucide-static/icons/contrast.svg";
import copy from "lucide-static/icons/copy.svg";
import enter from "lucide-static/icons/corner-down-left.svg";
import eye from "lucide-static/icons/eye.svg";
import forward from "lucide-static/icons/fast-forward.svg";
import fileText from "lucide-static/icons/file-text.svg";
import hourglass from "lucide-static/icons/hourglass.svg";
import info from "lucide-static/icons/info.svg";
import keyboard from "lucide-static/icons/keyboard.svg";
import lightbulb from "lucide-static/icons/lightbulb.svg";
import maximize from "lucide-static/icons/maximize-2.svg";
import minimize from "lucide-static/icons/minimize-2.svg";
import pencil from "lucide-static/icons/pencil.svg";
import play from "lucide-static/icons/play.svg";
import plus from "lucide-static/icons/plus.svg";
import reset from "lucide-static/icons/rotate-ccw.svg";
import rows from "lucide-static/icons/rows-2.svg";
import search from "lucide-static/icons/search.svg";
import shapes from "lucide-static/icons/shapes.svg";
import one from "lucide-static/icons/square.svg";
import terminal from "lucide-static/icons/square-terminal.svg";
import table from "lucide-static/icons/table.svg";
import alert from "lucide-static/icons/triangle-alert.svg";
import unplug from "lucide-static/icons/unplug.svg";
import x from "lucide-static/icons/x.svg";

export const icons = {
  alert,
  arrowLeft,
  arrowRight,
  check,
  chevronDown,
  chevronUp,
  circle,
  circleCheck,
  circleDot,
  circleHelp,
  circlePause,
  circleSlash,
  columns,
  contrast,
  copy,
  enter,
  eye,
  fileText,
  forward,
  hourglass,
  info,
  keyboard,
  larger,
  lightbulb,
  maximize,
  minimize,
  one,
  pencil,
  play,
  plus,
  reset,
  rows,
  search,
  shapes,
  smaller,
  table,
  terminal,
  text,
  unplug,
  x,
};
