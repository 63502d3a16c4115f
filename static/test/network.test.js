/** Claims about the network view: which cables there are, where boxes stand, and what is told as new. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { layout } from "../src/views/network/layout.js";
import { graph, keysOf, namesOf } from "../src/views/network/model.js";

const net = (inode, extra = {}) => ({ kind: "net", inode, processes: [], of_lab: false, ...extra });
const link = (name, extra = {}) => ({
  name,
  kind: "veth",
  up: true,
  addresses: [],
  master: null,
  peer: null,
  ...extra,
});

/** A lab with a bridge and a namespace on it, one behind that, and one that nothing leads to. */
function seen() {
  return {
    lab: "l",
    init: { pid: 1 },
    processes: [],
    namespaces: [net(40), net(30), net(20), net(10, { of_lab: true })],
    links: {
      10: [
        link("lo", { kind: "loopback", addresses: ["127.0.0.1/8"] }),
        link("eth0"),
        link("v20", { master: "br0", peer: { net: 20, name: "eth0" } }),
        link("br0", { kind: "bridge", addresses: ["10.1.0.1/24"] }),
      ],
      20: [
        link("eth0", { peer: { net: 10, name: "v20" } }),
        link("far", { up: false, peer: { net: 30, name: "near" } }),
      ],
      30: [link("near", { peer: { net: 20, name: "far" } })],
      40: [link("lo", { kind: "loopback", up: false })],
    },
  };
}

test("a veth pair is one cable, down if one end is", () => {
  const told = graph(seen()).cables.map(({ ends, up }) => `${[...ends].sort().join(" ")} ${up ? "up" : "down"}`);
  assert.deepEqual(told.sort(), ["link:10:v20 link:20:eth0 up", "link:20:far link:30:near down"]);
});

test("columns follow the cables from the lab; what nothing leads to stands beside it", () => {
  const { nets } = graph(seen());
  assert.deepEqual(
    nets.map((one) => [one.inode, one.column]),
    [
      [10, 0],
      [20, 1],
      [40, 1],
      [30, 2],
    ],
  );
});

test("a port stands below its bridge, and the lab's own cable leads out", () => {
  const [lab] = graph(seen()).nets;
  assert.deepEqual(
    lab.nodes.map((one) => [one.link.name, one.port, one.outside]),
    [
      ["lo", false, false],
      ["eth0", false, true],
      ["br0", false, false],
      ["v20", true, false],
    ],
  );
});

test("a peer that was not seen is no cable", () => {
  const one = seen();
  one.links[10][2].peer = { net: 99, name: "eth0" };
  assert.equal(graph(one).cables.length, 2); // the other end still names it
  one.links[20][0].peer = null;
  one.links[10][2].peer = null;
  assert.equal(graph(one).cables.length, 1);
  const leads = graph(one).nets[0].nodes.filter((node) => node.outside);
  assert.deepEqual(
    leads.map((node) => node.link.name),
    ["eth0"],
  );
});

test("an address alone is told as that, a new link only by its name", () => {
  const before = new Set(keysOf(graph(seen())));
  const later = seen();
  later.links[20][0].addresses.push("10.1.0.2/24");
  later.links[40].push(link("d0", { kind: "dummy", addresses: ["10.9.0.1/24"] }));
  const came = keysOf(graph(later)).filter((key) => !before.has(key));
  assert.deepEqual(namesOf(came).sort(), ["d0", "eth0 10.1.0.2/24"]);
});

const words = { em: 8, title: (one) => `${one.inode} box`, line: (node) => `${node.link.name}  veth  up  10.0.0.1/24` };

test("no box lies on another and no line leaves its box, wide or narrow", () => {
  const all = graph(seen());
  for (const room of [300, 2000]) {
    const { boxes, width, height } = layout(all, room, words);
    for (const box of boxes) {
      assert.ok(box.x >= 0 && box.x + box.width <= width && box.y + box.height <= height);
      for (const row of box.rows) {
        assert.ok(row.x + row.width <= box.x + box.width, `${row.node.key} at ${room}`);
        assert.ok(row.y > box.y && row.y < box.y + box.height);
      }
      for (const other of boxes) {
        const apart = other.x >= box.x + box.width || box.x >= other.x + other.width;
        const below = other.y >= box.y + box.height || box.y >= other.y + other.height;
        assert.ok(box === other || apart || below, `${box.net.inode} and ${other.net.inode} at ${room}`);
      }
    }
  }
});

test("cables run at right angles from edge to edge, each in a channel of its own", () => {
  for (const room of [300, 2000]) {
    const { wires, boxes } = layout(graph(seen()), room, words);
    assert.equal(wires.length, 2);
    const edges = new Set(boxes.flatMap((box) => [box.x, box.x + box.width]));
    for (const { points } of wires) {
      const [a, b, c, d] = points;
      assert.ok(a[1] === b[1] && b[0] === c[0] && c[1] === d[1]);
      assert.ok(edges.has(a[0]) && edges.has(d[0]));
      assert.ok(
        boxes.every((box) => b[0] < box.x || b[0] > box.x + box.width),
        "a channel runs beside the boxes",
      );
    }
    assert.notEqual(wires[0].points[1][0], wires[1].points[1][0]);
  }
});
