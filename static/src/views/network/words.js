/** What is written in the network drawing. Names and addresses are a learner's: plain text, cut. */
import { plain } from "../../dom.js";
import { t } from "../../strings.js";
import { whose } from "../people.js";

/** @typedef {import("./model.js").Net} Net */
/** @typedef {import("./model.js").Node} Node */
/** @typedef {import("../../types.js").Observation} Observation */

/** Addresses shown in a drawing; the table has all. */
const SHOWN = 2;

/** What is needed to name the far end of a cable. @typedef {{seen: Observation, nets: Map<number, Net>}} Names */

/** @param {import("./model.js").Graph} graph @param {Observation} seen @returns {Names} */
export function namesFor(graph, seen) {
  return { seen, nets: new Map(graph.nets.map((net) => [net.inode, net])) };
}

/** The number, and the name people know it by. @param {Net} net @param {Observation} seen */
export function titleOf(net, seen) {
  return `${net.inode} ${nickname(net, seen)}`.trim();
}

/** @param {Net} net @param {Observation} seen @returns {string} */
export function nickname({ namespace }, seen) {
  if (namespace.of_lab) return t("views.lab");
  const people = whose(seen, (process) => namespace.processes.includes(process.pid));
  // As ip-netns(8) names them. One that only an open file keeps has no name.
  const named = namespace.kept_by === "mount" ? namespace.kept_at?.split("/").at(-1) : "";
  return people || plain(named ?? "", 20);
}

/**
 * The line of a link in pieces; each knows the fact it stands for, so that only what changed is marked.
 * @param {Node} node @returns {{text: string, fact?: string, dim?: boolean}[]}
 */
export function parts({ key, link }) {
  // Every link that is up has given itself a link-local address: in the table, no news here.
  const own = link.addresses.filter((one) => !one.startsWith("fe80:"));
  const shown = own.slice(0, SHOWN);
  const more = own.length - shown.length;
  const kind = link.kind === "loopback" ? [] : [{ text: plain(link.kind, 12), dim: true }];
  return [
    { text: plain(link.name, 15) },
    ...kind,
    { text: t(link.up ? "views.up" : "views.down"), fact: `${key} ${link.up ? "up" : "down"}`, dim: true },
    ...shown.map((one) => ({ text: plain(one, 46), fact: `${key} ${one}` })),
    ...(more > 0 ? [{ text: t("views.more", { count: more }), dim: true }] : []),
  ];
}

/** @param {Node} node @returns {string} as long as the line will be */
export function line(node) {
  return parts(node)
    .map((part) => part.text)
    .join("  ");
}

/** Where the other end is, and the bridge it is a port of. @param {Node} node @param {Names} names */
export function cableEnd(node, { nets, seen }) {
  const { link, outside } = node;
  const bridge = link.master ? t("views.port_of", { name: plain(link.master, 15) }) : "";
  const far = link.peer && nets.get(link.peer.net);
  const peer = link.peer
    ? t("views.cable_to", { name: plain(link.peer.name, 15), net: far ? nickname(far, seen) : String(link.peer.net) })
    : outside
      ? t("views.cable_out")
      : link.kind === "veth"
        ? t("views.cable_unseen")
        : "";
  return [bridge, peer].filter(Boolean).join(", ");
}
