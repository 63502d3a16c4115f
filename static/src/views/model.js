/**
 * From an observation to nested groups. Namespaces of eight kinds are no tree, but how processes differ from the lab is
 * one, nearly always: a process in its own uts and pid namespaces stands inside the group that only has that uts. So a group
 * is a set of processes with the same eight inodes; its parent is the group whose differences are the most of its own.
 * Pure: data in, data out.
 */
import { ORDER } from "../kinds.js";

/** @typedef {import("../types.js").Process} Process */
/** @typedef {import("../types.js").Namespace} Namespace */
/** @typedef {import("../types.js").Observation} Observation */

/**
 * @typedef {object} Group
 * @property {string} key               the differences, as text: stable as long as the group is
 * @property {Namespace[]} own          all namespaces that are not the lab's
 * @property {Namespace[]} added        those that are not the parent's either: this group's outline
 * @property {Namespace[]} named        those whose numbers stand in its head: the added ones; for the lab its own eight
 * @property {Process[]} processes
 * @property {Group[]} children
 * @property {string | null} keptBy     nobody is in it: what keeps it
 */

/** @param {Observation} seen @returns {Record<string, number>} kind to inode of the lab itself */
export function labInodes(seen) {
  return seen.init.ns ?? seen.processes.find((process) => process.pid === seen.init.pid)?.ns ?? {};
}

/** @param {Observation} seen @returns {Group} the lab, with all groups in it */
export function groups(seen) {
  const lab = labInodes(seen);
  const known = new Map(seen.namespaces.map((one) => [`${one.kind}:${one.inode}`, one]));
  /** @type {Map<string, Group>} */
  const found = new Map([["", empty("", [])]]);
  for (const process of seen.processes) {
    const own = ORDER.filter((kind) => process.ns[kind] && lab[kind] && process.ns[kind] !== lab[kind]);
    const key = own.map((kind) => `${kind}:${process.ns[kind]}`).join(" ");
    const group =
      found.get(key) ??
      empty(
        key,
        own.map((kind) => namespace(known, kind, process.ns[kind])),
      );
    group.processes.push(process);
    found.set(key, group);
  }
  for (const one of seen.namespaces) {
    if (one.processes.length || one.of_lab || one.inode === lab[one.kind]) continue;
    const group = empty(`${one.kind}:${one.inode}`, [one]);
    group.keptBy = one.kept_by ?? "fd";
    if (!found.has(group.key)) found.set(group.key, group);
  }
  nest([...found.values()]);
  const root = /** @type {Group} */ (found.get(""));
  root.named = ORDER.filter((kind) => lab[kind]).map((kind) => namespace(known, kind, lab[kind]));
  return root;
}

/** @param {string} key @param {Namespace[]} own @returns {Group} */
function empty(key, own) {
  return { key, own, added: own, named: own, processes: [], children: [], keptBy: null };
}

/** @param {Map<string, Namespace>} known @param {string} kind @param {number} inode @returns {Namespace} */
function namespace(known, kind, inode) {
  return known.get(`${kind}:${inode}`) ?? { kind, inode, processes: [], of_lab: false };
}

/** Gives each group its parent: of those whose differences are all among its own, the one with the most. @param {Group[]} all */
function nest(all) {
  for (const group of all) {
    if (!group.own.length) continue;
    const inodes = new Set(group.own.map((one) => one.inode));
    const parents = all.filter(
      (other) => other.own.length < group.own.length && other.own.every((one) => inodes.has(one.inode)),
    );
    const parent = parents.reduce((best, other) => (other.own.length > best.own.length ? other : best));
    const has = new Set(parent.own.map((one) => one.inode));
    group.added = group.named = group.own.filter((one) => !has.has(one.inode));
    parent.children.push(group);
  }
  for (const group of all) {
    group.processes.sort((a, b) => a.nspid[0] - b.nspid[0]);
    group.children.sort((a, b) => firstPid(a) - firstPid(b));
  }
}

/** @param {Group} group */
function firstPid(group) {
  return group.processes[0]?.pid ?? Number.MAX_SAFE_INTEGER;
}

/** @param {Process} process names a process beyond the reuse of its pid */
export function processKey(process) {
  return `process:${process.pid}:${process.start}`;
}

/** @param {Namespace} one */
export function namespaceKey(one) {
  return `namespace:${one.kind}:${one.inode}`;
}

/** @param {Observation} seen @returns {Set<string>} everything that can come and go */
export function keysOf(seen) {
  return new Set([...seen.processes.map(processKey), ...seen.namespaces.map(namespaceKey)]);
}
