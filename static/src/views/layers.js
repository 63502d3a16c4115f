/** The layers view: for each union file system what its layers have of each path, and what is seen through them. */
import { plain, svg } from "../dom.js";
import { t } from "../strings.js";
import { drawBlock, EM, layersTable, patterns, wordIn } from "./layers/draw.js";
import { layout, PAD } from "./layers/layout.js";
import { keysOf, stacks } from "./layers/model.js";
import { headOf } from "./layers/words.js";
import { mapScale } from "./live.js";
import { mapTree } from "./parts.js";
import { SteadyView } from "./steady.js";

/** @typedef {import("../types.js").Observation} Observation */

export class LayersView extends SteadyView {
  /** @override @param {Observation} seen */
  drawn(seen) {
    return [seen.layers, seen.layers?.unions.map((union) => headOf(union, seen))];
  }

  /** @override @param {Observation} seen */
  things(seen) {
    return keysOf(seen);
  }

  /** @override @param {string[]} keys */
  names(keys) {
    const words = {
      added: t("views.added"),
      changed: t("views.copied_up"),
      whiteout: t("views.whiteout"),
      opaque: t("views.opaque"),
    };
    return keys.flatMap((key) => {
      // change:KIND:MAJOR:MINOR:PATH
      const [what, kind, , , ...path] = key.split(":");
      if (what !== "change") return [];
      return [`${plain(path.join(":"), 60)} (${/** @type {Record<string, string>} */ (words)[kind]})`];
    });
  }

  /** @override @param {Observation | null} seen */
  empty(seen) {
    if (seen && !seen.layers?.unions.length) return t("views.no_unions");
    return super.empty(seen);
  }

  /** @override @param {Observation} seen @param {import("./live.js").Fresh} fresh */
  table(seen, fresh) {
    return layersTable(stacks(seen), seen, fresh);
  }

  /** @override @param {Observation} seen @param {import("./live.js").Fresh} fresh */
  drawing(seen, fresh) {
    const scale = mapScale();
    const room = Math.max(280, Math.floor((this.canvas.clientWidth - 2) / scale));
    const inner = room - 2 * PAD;
    const places = layout(stacks(seen), inner, { em: EM, cell: wordIn });
    const height = places.height + 2 * PAD;
    const tree = mapTree("layers", t("views.layers"), room, height, scale);
    const content = svg("g", { role: "none", transform: `translate(${PAD} ${PAD / 2})` });
    content.append(...places.blocks.map((block) => drawBlock(block, inner, seen, fresh)));
    tree.append(patterns(), content);
    return tree;
  }
}
