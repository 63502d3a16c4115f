"""Netlink messages as bytes: what is packed can be read back, what is cut short is not believed."""

from __future__ import annotations

import errno
import struct

from engine.linux import netlink, rtnetlink
from engine.linux.netlink import attribute, attributes, nested


def test_an_attribute_is_padded_to_four_bytes_but_its_length_is_not() -> None:
    """`abc` and its NUL take four bytes, `abcd` and its NUL five, which are padded to eight."""
    assert attribute(3, "abc") == struct.pack("=HH", 8, 3) + b"abc\0"
    assert attribute(3, "abcd") == struct.pack("=HH", 9, 3) + b"abcd\0" + b"\0\0\0"


def test_nested_attributes_are_found_without_their_flag() -> None:
    """The kernel marks nesting in the type; a reader looks the type up without the mark."""
    data = nested(18, attribute(1, "veth"), attribute(27, 7))
    inner = attributes(attributes(data)[18])
    assert inner == {1: b"veth\0", 27: struct.pack("=I", 7)}


def test_a_length_past_the_end_stops_the_reading() -> None:
    """A truncated datagram gives what is whole in it and nothing else."""
    whole = attribute(1, "eth0")
    assert attributes(whole + struct.pack("=HH", 400, 3) + b"xx") == {1: b"eth0\0"}
    assert attributes(struct.pack("=HH", 0, 3) * 2) == {}


def test_messages_in_one_datagram_are_taken_apart() -> None:
    """Two acknowledgements in one datagram answer two sequence numbers; a third that is cut off answers none."""
    one = struct.pack("=IHHII", 20, 2, 0, 5, 0) + struct.pack("=i", 0)
    two = struct.pack("=IHHII", 20, 2, 0, 6, 0) + struct.pack("=i", -errno.EEXIST)
    found = list(netlink.split(one + two + one[:12]))
    assert [(kind, sequence) for kind, _, sequence, _ in found] == [(2, 5), (2, 6)]
    assert netlink.refusal(found[1][3], 0) == (errno.EEXIST, "")


def test_the_kernels_sentence_is_taken_from_an_extended_acknowledgement() -> None:
    """Behind the errno and the header that is answered lie attributes; number 1 is a sentence."""
    body = struct.pack("=i", -errno.EINVAL) + bytes(16) + attribute(netlink.NLMSGERR_ATTR_MSG, "Device does not exist")
    assert netlink.refusal(body, netlink.NLM_F_ACK_TLVS) == (errno.EINVAL, "Device does not exist")


def test_a_link_is_read_with_what_its_bridge_knows_of_it() -> None:
    """Name, kind, master, alias and isolation come from three levels of attributes."""
    body = (
        struct.pack("=BxHiII", 0, 1, 9, 0x1003, 0)
        + attribute(rtnetlink.IFLA_IFNAME, "hakol3")
        + attribute(rtnetlink.IFLA_MASTER, 4)
        + attribute(rtnetlink.IFLA_IFALIAS, "lab x7f2")
        + attribute(rtnetlink.IFLA_ADDRESS, bytes.fromhex("0248 0ad1 8004"))
        + nested(
            rtnetlink.IFLA_LINKINFO,
            attribute(rtnetlink.IFLA_INFO_KIND, "veth"),
            attribute(rtnetlink.IFLA_INFO_SLAVE_KIND, "bridge"),
            nested(rtnetlink.IFLA_INFO_SLAVE_DATA, attribute(rtnetlink.IFLA_BRPORT_ISOLATED, b"\1")),
        )
    )
    link = rtnetlink.parse_link(body)
    assert (link.index, link.name, link.kind, link.master, link.alias) == (9, "hakol3", "veth", 4, "lab x7f2")
    assert link.up
    assert link.isolated
    assert link.mac == "02:48:0a:d1:80:04"
    assert link.peer_netnsid is None
