/** The namespaces view: nested boxes, one for each set of processes that has the same eight namespaces. */
import { svg } from "../dom.js";
import { t } from "../strings.js";
import { drawGroup, drawTable } from "./draw.js";
import { LINE, layout, PAD } from "./layout.js";
import { LiveView, mapScale } from "./live.js";
import { groups, keysOf, labInodes } from "./model.js";
import { mapTree } from "./parts.js";
import { wordsOf } from "./words.js";

/** @typedef {import("../types.js").Observation} Observation */

export class NamespacesView extends LiveView {
  /** pid of the process in front to the name of its terminal @type {Map<number, string>} */
  front = new Map();

  /** @override @param {Observation} seen */
  things(seen) {
    return keysOf(seen);
  }

  /** @override @param {string[]} keys */
  names(keys) {
    return keys.filter((key) => key.startsWith("namespace:")).map((key) => key.split(":").slice(1).join(" "));
  }

  /** Who has the keys of which terminal. @override @param {string} terminal @param {import("../types.js").Where | null} where */
  inFront(terminal, where) {
    for (const [pid, name] of this.front) if (name === terminal) this.front.delete(pid);
    if (where?.foreground) this.front.set(where.foreground.pid, terminal);
    this.draw();
  }

  /** @override @param {string} key */
  hasCome(key) {
    const parts = key.startsWith("group:")
      ? key
          .slice(6)
          .split(" ")
          .map((part) => `namespace:${part}`)
      : [key];
    return parts.some((part) => this.news.came.has(part));
  }

  /** @override @param {Observation} seen @param {import("./live.js").Fresh} fresh */
  table(seen, fresh) {
    return drawTable(seen, labInodes(seen), fresh);
  }

  /** @override @param {Observation} seen @param {import("./live.js").Fresh} fresh */
  drawing(seen, fresh) {
    const scale = mapScale();
    const room = Math.max(300, Math.floor((this.canvas.clientWidth - 2) / scale));
    const lab = layout(groups(seen), room - 2 * PAD, wordsOf(seen, this.front));
    lab.width = room - 2 * PAD;
    Object.assign(lab, { x: PAD, y: PAD + LINE });
    const height = lab.height + LINE + 2 * PAD;
    const machine = [
      svg("rect", { class: "outline plain machine", x: 1, y: 1, width: room - 2, height: height - 2, rx: 3 }),
      svg("text", { class: "title", x: PAD, y: PAD + 13 }, t("views.machine")),
    ];
    const tree = mapTree("", t("views.namespaces"), room, height, scale);
    tree.append(svg("g", { role: "none" }, ...machine, drawGroup(lab, 1, fresh)));
    return tree;
  }
}
