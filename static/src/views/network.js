/** The network view: network namespaces as boxes, their links as lines in them, veth pairs as cables between. */
import { svg } from "../dom.js";
import { t } from "../strings.js";
import { mapScale } from "./live.js";
import { drawNetwork, networkTable } from "./network/draw.js";
import { LINE, layout, PAD } from "./network/layout.js";
import { graph, keysOf, namesOf } from "./network/model.js";
import { line, namesFor, titleOf } from "./network/words.js";
import { mapTree } from "./parts.js";
import { SteadyView } from "./steady.js";

/** @typedef {import("../types.js").Observation} Observation */

export class NetworkView extends SteadyView {
  /** @param {HTMLElement} element */
  constructor(element) {
    super(element);
    for (const event of ["focusin", "pointerover"])
      this.canvas.addEventListener(event, ({ target }) => this.light(/** @type {Element} */ (target)));
  }

  /** @override @param {Observation} seen */
  drawn(seen) {
    return graph(seen).nets.map((net) => [titleOf(net, seen), net.column, net.nodes]);
  }

  /** @override @param {Observation} seen */
  things(seen) {
    return keysOf(graph(seen));
  }

  /** @override @param {string[]} keys */
  names(keys) {
    return namesOf(keys);
  }

  /** @override @param {Observation} seen @param {import("./live.js").Fresh} fresh */
  table(seen, fresh) {
    const all = graph(seen);
    return networkTable(all, namesFor(all, seen), fresh);
  }

  /** @override @param {Observation} seen @param {import("./live.js").Fresh} fresh */
  drawing(seen, fresh) {
    const all = graph(seen);
    const scale = mapScale();
    const room = Math.max(280, Math.floor((this.canvas.clientWidth - 2) / scale));
    const words = { em: 7.83, title: (/** @type {any} */ net) => titleOf(net, seen), line };
    const places = layout(all, room - 2 * PAD, words);
    const width = Math.max(room, places.width + PAD);
    const height = places.height + LINE + 3 * PAD;
    const tree = mapTree("network", t("views.network"), width, height, scale);
    const frame = { x: 4, y: 1, width: width - 8, height: height - 2, rx: 3 };
    const content = svg("g", { role: "none", transform: `translate(4 ${PAD + LINE})` });
    content.append(...drawNetwork(places, namesFor(all, seen), fresh));
    tree.append(
      svg("rect", { ...frame, class: "outline plain machine" }),
      svg("text", { class: "title", x: PAD + 4, y: PAD + 9, "aria-hidden": "true" }, t("views.machine")),
      content,
    );
    return tree;
  }

  /** The cable of the link that is looked at. @param {Element} target */
  light(target) {
    const key = target.closest("[data-key]")?.getAttribute("data-key");
    for (const cable of this.canvas.querySelectorAll(".cable")) {
      const ends = cable.getAttribute("data-ends")?.split(" ") ?? [];
      cable.classList.toggle("lit", Boolean(key && ends.includes(key)));
    }
  }
}
