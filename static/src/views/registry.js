/**
 * The live views there are, in the order of their tabs. A view is one line here, its class (live.js says what it must have),
 * and its words `views.NAME`; a lesson names it by `view:`.
 */
import { CgroupsView } from "./cgroups.js";
import { LayersView } from "./layers.js";
import { NamespacesView } from "./namespaces.js";
import { NetworkView } from "./network.js";
import { TimelineView } from "./timeline.js";

/** @type {Record<string, new (element: HTMLElement) => import("./live.js").LiveView>} */
export const VIEWS = {
  namespaces: NamespacesView,
  cgroups: CgroupsView,
  layers: LayersView,
  network: NetworkView,
  timeline: TimelineView,
};
