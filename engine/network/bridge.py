"""Bridges and the veth pairs plugged into them, as blocking work on a netlink socket.

A veth pair is a cable: one end is a port of the bridge on the host, the other is `eth0` in a network namespace. The far
end is made in its namespace by the same message that makes the near one, so it never exists on the host, and no name
clashes. A lab's port is isolated: it exchanges frames with the bridge itself and with no other isolated port. See
veth(4), bridge(8), ip-link(8).
"""

from __future__ import annotations

import errno
import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from engine.errors import Failed, Unsupported
from engine.linux import netns, rtnetlink
from engine.linux.rtnetlink import Route
from engine.network.addresses import Segment

log = structlog.get_logger(__name__)

# The kernel's answer to "no such link": for a deletion, success.
_GONE = (errno.ENODEV,)

MTU_MIN, MTU_MAX = 576, 1500
# It takes a tenth of a millisecond as a rule, and longer only while the lock of the network is taken.
RUNNING_S = 0.5

# Our networks are IPv4 only. Without these a router advertisement, from whoever sends one, would give a second way out.
_NO_IPV6 = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
}
# As Docker since 20.10: ports below 1024 and ping need no capability, inside, where they can hurt nobody else.
CONTAINER_SYSCTLS = _NO_IPV6 | {
    "ipv4/ip_unprivileged_port_start": "0",
}
LAB_SYSCTLS = _NO_IPV6


@dataclass(frozen=True, slots=True)
class Port:
    """How a slot of a segment is to be wired.

    Attributes:
        isolated: exchanges frames with the bridge only.
        alias: a word for people, shown by `ip link` and kept by the kernel; it says whose link this is after a restart.
        mtu: in bytes.
    """

    segment: Segment
    slot: int
    isolated: bool
    alias: str
    mtu: int

    @property
    def link(self) -> str:
        """Name of the end on the host."""
        return self.segment.link(self.slot)


def uplink_mtu(route: Route) -> int:
    """The MTU for our links: that of the link with the default route, but at most 1500."""
    mtus = {link.index: link.mtu for link in route.links()}
    default = [mtus.get(entry.index, MTU_MAX) for entry in route.routes() if not entry.destination.prefixlen]
    return max(min([MTU_MAX, *default]), MTU_MIN)


def ensure_bridge(route: Route, segment: Segment, mtu: int) -> None:
    """Make the bridge of a segment with its address, unless it is there already.

    Raises:
        Unsupported: this kernel has no bridges.
        Failed: something else has the name.
    """
    name = segment.bridge
    present = next((link for link in route.links() if link.name == name), None)
    if present is not None and present.kind != "bridge":
        raise Failed(f"{name}: a link of this name exists and is no bridge.", f"Remove it: `ip link delete {name}`.")
    if present is None:
        try:
            route.request(rtnetlink.add_bridge(name, segment.mac(0), mtu=mtu))
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
                cure = "Load the module: `modprobe bridge`."
                raise Unsupported(f"{error.strerror}: this kernel has no bridges.", cure) from error
            raise
    # Host's side of the bridge: no IPv6, no answering for the host's other addresses, no redirects to a neighbour's.
    netns.set_sysctls(
        {
            f"ipv6/conf/{name}/disable_ipv6": "1",
            f"ipv4/conf/{name}/arp_ignore": "1",
            f"ipv4/conf/{name}/send_redirects": "0",
        }
    )
    index = bridge_index(route, segment)
    if segment.address(0) not in route.addresses().get(index, []):
        route.request(rtnetlink.add_address(index, segment.address(0)))
    route.request(rtnetlink.set_up(name))


def bridge_index(route: Route, segment: Segment) -> int:
    """Index of the bridge.

    Raises:
        Failed: somebody deleted it.
    """
    try:
        return route.link(segment.bridge).index
    except OSError as error:
        if error.errno not in _GONE:
            raise
        raise Failed(f"The bridge {segment.bridge} is gone.", "Start the engine again; it is made anew.") from error


def make_namespace() -> tuple[int, Route]:
    """A new network namespace for a container: an fd that keeps it, and a netlink socket inside."""

    def inside() -> tuple[int, Route]:
        netns.set_sysctls(CONTAINER_SYSCTLS | {"ipv4/ping_group_range": f"0 {_highest_group()}"})
        return netns.open_here(), Route()

    return netns.run_inside(None, inside)


@functools.cache
def _highest_group() -> int:
    """The highest id of a group that there is here: in a user namespace the kernel takes no other (EINVAL)."""
    lines = [line.split() for line in Path("/proc/self/gid_map").read_text().splitlines()]
    return min(max((int(first) + int(count) for first, _, count in lines), default=1) - 1, 2**31 - 1)


def enter_namespace(fd: int) -> Route:
    """A netlink socket inside a lab's network namespace, set up as a lab's."""

    def inside() -> Route:
        netns.set_sysctls(LAB_SYSCTLS)
        return Route()

    return netns.run_inside(fd, inside)


def wire(route: Route, port: Port, fd: int, inside: Route) -> None:
    """Plug a network namespace into a bridge: veth pair, addresses, default route, everything up.

    Args:
        route: a socket on the host.
        port: which slot, and how.
        fd: the namespace.
        inside: a socket in it.

    Raises:
        OSError: of the message that failed; the pair is gone again.
    """
    segment, slot = port.segment, port.slot
    veth = rtnetlink.add_veth(
        port.link,
        master=bridge_index(route, segment),
        group=segment.group,
        mtu=port.mtu,
        peer="eth0",
        peer_mac=segment.mac(slot),
        peer_netns=fd,
    )
    route.request(veth)
    try:
        netns.set_sysctls({f"ipv6/conf/{port.link}/disable_ipv6": "1"})  # else the host greets its container in IPv6
        # Isolation is part of the message that sets the port up: there is no moment in which it is not isolated.
        route.request(rtnetlink.set_port_up(port.link, isolated=port.isolated, alias=port.alias))
        index = inside.link("eth0").index
        inside.request(
            rtnetlink.set_up("lo"),
            rtnetlink.set_up("eth0"),
            rtnetlink.add_address(index, segment.address(slot)),
            rtnetlink.add_default_route(segment.gateway),
        )
        for name in (port.link, segment.bridge):
            wait_until_running(route, name)
    except BaseException:
        delete_links(route, [port.link], segment.doomed)
        raise


def wait_until_running(route: Route, name: str) -> None:
    """Wait until a link passes packets, at most RUNNING_S.

    A link that was set up before its other end gets its queue from a worker of the kernel's ("linkwatch"), a little
    later. Until then it drops everything, and an ARP request that is lost is repeated only after a second.
    """
    end = time.monotonic() + RUNNING_S
    while not route.link(name).running:
        if time.monotonic() > end:
            log.warning("network_link_not_running", link=name, waited_s=RUNNING_S)
            return
        time.sleep(0.0005)


def delete_links(route: Route, names: Iterable[str], group: int) -> list[str]:
    """Delete links together and look whether they are gone.

    The kernel waits for an RCU grace period per deletion, some 10 ms, however many links it deletes at a time. So they
    are first put into a group, which is quick, and then the group is deleted.

    Returns:
        The names that are still there: none, as a rule.
    """
    wanted = sorted(set(names))
    try:
        route.request(*(rtnetlink.set_group(name, group) for name in wanted))
    except OSError as error:
        if error.errno not in _GONE:
            raise
    try:
        route.request(rtnetlink.delete_group(group))
    except OSError as error:
        if error.errno not in _GONE:
            raise
    there = {link.name for link in route.links()}
    return [name for name in wanted if name in there]
