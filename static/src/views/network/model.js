/**
 * From the links of an observation to a graph: network namespaces, the links in each (ports below their bridge), and the
 * cables, which are veth pairs. Columns follow the cables outwards from the lab. Pure: data in, data out.
 */

/** @typedef {import("../../types.js").Observation} Observation */
/** @typedef {import("../../types.js").Namespace} Namespace */
/** @typedef {import("../../types.js").Link} Link */

/**
 * @typedef {object} Node  one link
 * @property {string} key
 * @property {Link} link
 * @property {boolean} port     of the bridge above it
 * @property {boolean} outside  its other end is on the machine
 * @property {Record<string, string>} facts  what can change of it, by its own key, to the words for it
 */
/**
 * @typedef {object} Net
 * @property {string} key
 * @property {number} inode
 * @property {Namespace} namespace
 * @property {Node[]} nodes
 * @property {number} column  cables from the lab; those that nothing leads to stand next to it
 */
/** @typedef {{key: string, ends: [string, string], up: boolean}} Cable */
/** @typedef {{nets: Net[], cables: Cable[]}} Graph */

/** @param {number | string} inode */
const netKey = (inode) => `net:${inode}`;
/** @param {number | string} inode @param {string} name */
const linkKey = (inode, name) => `link:${inode}:${name}`;

/** @param {Observation} seen @returns {Graph} */
export function graph(seen) {
  const spaces = seen.namespaces.filter((one) => one.kind === "net");
  /** @type {Net[]} */
  const nets = spaces.map((namespace) => ({
    key: netKey(namespace.inode),
    inode: namespace.inode,
    namespace,
    nodes: nodes(namespace, seen.links?.[String(namespace.inode)] ?? []),
    column: 0,
  }));
  const cables = cablesOf(nets);
  place(nets, cables);
  return { nets, cables };
}

/** In the kernel's order, but ports below their bridge. @param {Namespace} namespace @param {Link[]} links @returns {Node[]} */
function nodes(namespace, links) {
  const names = new Set(links.map((link) => link.name));
  const free = links.filter((link) => !link.master || !names.has(link.master));
  const ports = (/** @type {Link} */ bridge) => links.filter((link) => link.master === bridge.name);
  return free.flatMap((link) => [
    node(namespace, link, false),
    ...ports(link).map((port) => node(namespace, port, true)),
  ]);
}

/** @param {Namespace} namespace @param {Link} link @param {boolean} port @returns {Node} */
function node(namespace, link, port) {
  const key = linkKey(namespace.inode, link.name);
  const facts = { [`${key} ${link.up ? "up" : "down"}`]: link.up ? "up" : "down" };
  for (const address of link.addresses) facts[`${key} ${address}`] = address;
  if (link.master) facts[`${key} → ${link.master}`] = `→ ${link.master}`;
  // A lab is born with one veth, eth0, whose other end the machine has; of any other the far end is just not seen.
  const outside = namespace.of_lab && link.kind === "veth" && link.name === "eth0" && !link.peer;
  return { key, link, port, outside, facts };
}

/** A pair is one cable, told by whichever end comes first. @param {Net[]} nets @returns {Cable[]} */
function cablesOf(nets) {
  const all = new Map(nets.flatMap((net) => net.nodes.map((one) => [one.key, one.link])));
  /** @type {Map<string, Cable>} */
  const cables = new Map();
  for (const [key, link] of all) {
    const other = link.peer ? linkKey(link.peer.net, link.peer.name) : "";
    const far = all.get(other);
    if (!far || cables.has(`cable:${other} ${key}`)) continue;
    const name = `cable:${key} ${other}`;
    cables.set(name, { key: name, ends: [key, other], up: link.up && far.up });
  }
  return [...cables.values()];
}

/** @param {Net[]} nets @param {Cable[]} cables */
function place(nets, cables) {
  const home = new Map(nets.flatMap((net) => net.nodes.map((one) => [one.key, net])));
  const next = (/** @type {Net} */ net) =>
    cables.flatMap(({ ends }) => (ends.some((end) => home.get(end) === net) ? ends.map((end) => home.get(end)) : []));
  const lab = nets.filter((net) => net.namespace.of_lab);
  const reached = new Set(lab);
  let edge = [...lab];
  for (let column = 1; edge.length; column += 1) {
    edge = [...new Set(edge.flatMap(next))]
      .filter((net) => net !== undefined && !reached.has(net))
      .map((net) => /** @type {Net} */ (net));
    for (const net of edge) {
      net.column = column;
      reached.add(net);
    }
  }
  for (const net of nets) if (!reached.has(net)) net.column = lab.length ? 1 : 0;
  const order = new Map([...home.keys()].map((key, index) => [key, index]));
  const rank = new Map(nets.map((net) => [net, wish(net, cables, home, order)]));
  nets.sort((a, b) => a.column - b.column || (rank.get(a) ?? 0) - (rank.get(b) ?? 0) || a.inode - b.inode);
}

/**
 * How far down a box would like to stand: as its cables' ends nearer to the lab do, so that few cross.
 * @param {Net} net @param {Cable[]} cables @param {Map<string, Net>} home @param {Map<string, number>} order
 */
function wish(net, cables, home, order) {
  const ends = cables
    .filter(({ ends: pair }) => pair.some((end) => home.get(end) === net))
    .flatMap(({ ends: pair }) => pair.filter((end) => (home.get(end)?.column ?? 0) < net.column))
    .map((end) => order.get(end) ?? 0);
  return ends.length ? ends.reduce((sum, at) => sum + at, 0) / ends.length : Number.MAX_SAFE_INTEGER;
}

/** @param {Graph} all @returns {string[]} everything that can come, go and change */
export function keysOf({ nets, cables }) {
  return [
    ...nets.flatMap((net) => [net.key, ...net.nodes.flatMap((one) => [one.key, ...Object.keys(one.facts)])]),
    ...cables.map((cable) => cable.key),
  ];
}

/**
 * What is said of changes: a link that came brings its facts with it, so only those of links that stayed are named.
 * @param {string[]} keys @returns {string[]}
 */
export function namesOf(keys) {
  const told = new Set(keys.filter((key) => key.startsWith("link:") && !key.includes(" ")));
  return keys.flatMap((key) => {
    if (key.startsWith("net:")) return [key.replace(":", " ")];
    if (!key.startsWith("link:")) return [];
    const [link, ...fact] = key.split(" ");
    const name = link.split(":").slice(2).join(":");
    if (!fact.length) return [name];
    return told.has(link) ? [] : [`${name} ${fact.join(" ")}`];
  });
}
