"""Links, addresses and routes: the rtnetlink messages the engine sends, and the ones it reads back.

Each function builds one message and has the name of what ip(8) does; `Route` carries them out and reads the tables.
See rtnetlink(7), veth(4), and for attribute numbers the kernel's linux/if_link.h, if_addr.h and rtnetlink.h.

Two surprises, measured: a veth whose peer is created with IFF_UP fails with ENOTCONN, so links are made down and set up
afterwards; and deleting a link waits for an RCU grace period, so many are deleted together by their group.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, ip_interface

from engine.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Socket,
    attribute,
    attributes,
    nested,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP, IFLA_NET_NS_FD = 16, 18, 20, 27, 28
IFLA_LINK_NETNSID = 37
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER = 1
IFLA_BR_FORWARD_DELAY, IFLA_BR_MCAST_SNOOPING = 1, 23
IFLA_BRPORT_ISOLATED = 33
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5

IFF_UP, IF_OPER_UP = 1, 6
AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 4, 0, 1

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")

_NEW = NLM_F_CREATE | NLM_F_EXCL


def mac_bytes(mac: str) -> bytes:
    """`02:48:0a:d1:00:02` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(AF_UNSPEC, 0, index, flags, change)


def add_bridge(name: str, mac: str, *, mtu: int) -> Message:
    """`ip link add NAME type bridge forward_delay 0 mcast_snooping 0`, with a hardware address of its own.

    Without one the bridge takes the lowest of its ports', and changes it, and breaks connections, as ports come and go.
    """
    data = nested(
        IFLA_INFO_DATA,
        attribute(IFLA_BR_FORWARD_DELAY, 0),
        attribute(IFLA_BR_MCAST_SNOOPING, b"\0"),
    )
    body = (
        _link()
        + attribute(IFLA_IFNAME, name)
        + attribute(IFLA_ADDRESS, mac_bytes(mac))
        + attribute(IFLA_MTU, mtu)
        + nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, "bridge"), data)
    )
    return Message(RTM_NEWLINK, _NEW, body, f"link add {name} type bridge")


def add_veth(name: str, *, master: int, group: int, mtu: int, peer: str, peer_mac: str, peer_netns: int) -> Message:
    """`ip link add NAME master … type veth peer name PEER address MAC netns …`: both ends in one message.

    Args:
        name: the end that stays here.
        master: index of the bridge it becomes a port of.
        group: its link group.
        mtu: of both ends, in bytes.
        peer: name of the other end, made directly in its network namespace: it never exists here.
        peer_mac: its hardware address.
        peer_netns: fd of that namespace.
    """
    other = (
        _link()
        + attribute(IFLA_IFNAME, peer)
        + attribute(IFLA_ADDRESS, mac_bytes(peer_mac))
        + attribute(IFLA_MTU, mtu)
        + attribute(IFLA_NET_NS_FD, peer_netns)
    )
    body = (
        _link()
        + attribute(IFLA_IFNAME, name)
        + attribute(IFLA_MASTER, master)
        + attribute(IFLA_GROUP, group)
        + attribute(IFLA_MTU, mtu)
        + nested(
            IFLA_LINKINFO,
            attribute(IFLA_INFO_KIND, "veth"),
            nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, other)),
        )
    )
    return Message(RTM_NEWLINK, _NEW, body, f"link add {name} type veth peer name {peer}")


def set_up(name: str) -> Message:
    """`ip link set NAME up`."""
    return Message(RTM_NEWLINK, 0, _link(0, IFF_UP, IFF_UP) + attribute(IFLA_IFNAME, name), f"link set {name} up")


def set_port_up(name: str, *, isolated: bool, alias: str) -> Message:
    """`ip link set NAME up alias ALIAS type bridge_slave isolated on|off`: isolated ports reach the bridge only."""
    body = (
        _link(0, IFF_UP, IFF_UP)
        + attribute(IFLA_IFNAME, name)
        + attribute(IFLA_IFALIAS, alias.encode()[:255])
        + nested(
            IFLA_LINKINFO,
            attribute(IFLA_INFO_SLAVE_KIND, "bridge"),
            nested(IFLA_INFO_SLAVE_DATA, attribute(IFLA_BRPORT_ISOLATED, bytes([isolated]))),
        )
    )
    return Message(RTM_NEWLINK, 0, body, f"link set {name} up type bridge_slave isolated {'on' if isolated else 'off'}")


def set_group(name: str, group: int) -> Message:
    """`ip link set NAME group GROUP`."""
    body = _link() + attribute(IFLA_IFNAME, name) + attribute(IFLA_GROUP, group)
    return Message(RTM_NEWLINK, 0, body, f"link set {name} group {group}")


def delete_link(name: str) -> Message:
    """`ip link delete NAME`; deleting one end of a veth deletes the other."""
    return Message(RTM_DELLINK, 0, _link() + attribute(IFLA_IFNAME, name), f"link delete {name}")


def delete_group(group: int) -> Message:
    """`ip link delete group GROUP`: all its links in one go, with one wait; ENODEV where it has none."""
    return Message(RTM_DELLINK, 0, _link() + attribute(IFLA_GROUP, group), f"link delete group {group}")


def add_address(index: int, address: IPv4Interface) -> Message:
    """`ip address add ADDRESS dev …` by the link's index."""
    body = (
        _IFADDR.pack(AF_INET, address.network.prefixlen, 0, RT_SCOPE_UNIVERSE, index)
        + attribute(IFA_LOCAL, address.ip.packed)
        + attribute(IFA_ADDRESS, address.ip.packed)
        + attribute(IFA_BROADCAST, address.network.broadcast_address.packed)
    )
    return Message(RTM_NEWADDR, _NEW, body, f"address add {address} dev #{index}")


def add_default_route(gateway: IPv4Address) -> Message:
    """`ip route add default via GATEWAY`."""
    header = _RTMSG.pack(AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
    body = header + attribute(RTA_GATEWAY, gateway.packed)
    return Message(RTM_NEWROUTE, _NEW, body, f"route add default via {gateway}")


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel tells it.

    Attributes:
        kind: `veth`, `bridge`, … or "" for hardware and the loopback device.
        master: index of the bridge it is a port of, else 0.
        peer: index of the other end (veth) in its own namespace, else 0.
        peer_netnsid: the id by which this namespace knows the peer's; None when the peer is here.
        isolated: only for a port of a bridge.
        running: whether it passes packets (operational state, RFC 2863): some time after it was set up.
    """

    index: int
    name: str
    kind: str
    up: bool
    mac: str
    mtu: int
    group: int
    master: int
    peer: int
    peer_netnsid: int | None
    alias: str
    isolated: bool
    running: bool


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """A unicast route of the main table; destination 0.0.0.0/0 is the default route."""

    destination: IPv4Network
    gateway: IPv4Address | None
    index: int


def parse_link(body: bytes) -> Link:
    """A Link from the body of an RTM_NEWLINK."""
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    found = attributes(body[_IFINFO.size :])
    info = attributes(found.get(IFLA_LINKINFO, b""))
    port = attributes(info.get(IFLA_INFO_SLAVE_DATA, b"")) if _text(info.get(IFLA_INFO_SLAVE_KIND)) == "bridge" else {}
    return Link(
        index=index,
        name=_text(found.get(IFLA_IFNAME)),
        kind=_text(info.get(IFLA_INFO_KIND)),
        up=bool(flags & IFF_UP),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(found.get(IFLA_MTU)),
        group=_number(found.get(IFLA_GROUP)),
        master=_number(found.get(IFLA_MASTER)),
        peer=_number(found.get(IFLA_LINK)),
        peer_netnsid=_number(found[IFLA_LINK_NETNSID]) if IFLA_LINK_NETNSID in found else None,
        alias=_text(found.get(IFLA_IFALIAS)),
        isolated=port.get(IFLA_BRPORT_ISOLATED, b"\0") == b"\1",
        running=found.get(IFLA_OPERSTATE) == bytes([IF_OPER_UP]),
    )


def _text(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode(errors="replace")


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "little" if struct.pack("=H", 1)[0] else "big")


class Route(Socket):
    """A NETLINK_ROUTE socket that can also read: links, addresses and routes of its network namespace."""

    def links(self) -> list[Link]:
        """`ip -d link`: every link."""
        return [parse_link(reply.body) for reply in self.dump(Message(RTM_GETLINK, 0, _link(), "link show"))]

    def link(self, name: str) -> Link:
        """`ip -d link show NAME`: one link, without reading all others.

        Raises:
            OSError: ENODEV, there is none of this name.
        """
        message = Message(RTM_GETLINK, 0, _link() + attribute(IFLA_IFNAME, name), f"link show {name}")
        return parse_link(self.get(message).body)

    def addresses(self) -> dict[int, list[IPv4Interface | IPv6Interface]]:
        """`ip address`: the addresses of each link, by its index."""
        found: dict[int, list[IPv4Interface | IPv6Interface]] = {}
        for reply in self.dump(Message(RTM_GETADDR, 0, _IFADDR.pack(AF_UNSPEC, 0, 0, 0, 0), "address show")):
            _, prefix, _, _, index = _IFADDR.unpack_from(reply.body)
            values = attributes(reply.body[_IFADDR.size :])
            raw = values.get(IFA_LOCAL) or values.get(IFA_ADDRESS)  # IPv6 tells IFA_LOCAL on point-to-point links only
            if raw:
                found.setdefault(index, []).append(ip_interface((raw, prefix)))
        return found

    def routes(self) -> list[RouteEntry]:
        """`ip -4 route show table main`, unicast routes only."""
        request = Message(RTM_GETROUTE, 0, _RTMSG.pack(AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "route show")
        entries = []
        for reply in self.dump(request):
            _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(reply.body)
            if table != RT_TABLE_MAIN or kind != RTN_UNICAST:
                continue
            values = attributes(reply.body[_RTMSG.size :])
            gateway = values.get(RTA_GATEWAY)
            entries.append(
                RouteEntry(
                    IPv4Network((values.get(RTA_DST, b"\0\0\0\0"), length)),
                    IPv4Address(gateway) if gateway else None,
                    _number(values.get(RTA_OIF)),
                )
            )
        return entries
