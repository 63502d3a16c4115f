"""Netlink against the kernel, with iproute2 as the witness."""

from __future__ import annotations

import os

import pytest

from engine.linux import netns, rtnetlink
from tests.engine.wires import HOST_UPLINK, Wires

pytestmark = pytest.mark.root


def test_links_addresses_and_routes_are_read_as_ip_shows_them(net: Wires) -> None:
    """The same names, kinds and addresses as iproute2 finds."""
    net.ip("link", "add", "bridge7", "type", "bridge")
    net.ip("link", "set", "uplink", "alias", "to the world")
    with netns.open_route(net.host) as route:
        links = {link.name: link for link in route.links()}
        assert (links["bridge7"].kind, links["uplink"].kind, links["lo"].kind) == ("bridge", "veth", "")
        assert links["uplink"].alias == "to the world"
        assert route.link("uplink") == links["uplink"]
        with pytest.raises(OSError, match="link show nowhere: No such device"):
            route.link("nowhere")
        assert links["uplink"].mac in net.ip("link", "show", "uplink")
        assert f"uplink@if{links['uplink'].peer}:" in net.ip("link", "show", "uplink")
        assert HOST_UPLINK in route.addresses()[links["uplink"].index]
        default = [entry for entry in route.routes() if not entry.destination.prefixlen]
        assert [(str(entry.gateway), entry.index) for entry in default] == [("198.51.100.1", links["uplink"].index)]


def test_a_refusal_says_what_was_asked_and_what_the_kernel_answered(net: Wires) -> None:
    """errno, the words of ip(8), and the kernel's own sentence where it has one."""
    with netns.open_route(net.host) as route:
        with pytest.raises(FileExistsError, match="link add uplink type bridge: File exists"):
            route.request(rtnetlink.add_bridge("uplink", "02:48:00:00:00:01", mtu=1500))
        with pytest.raises(OSError, match=r"link set nowhere up: No such device"):
            route.request(rtnetlink.set_up("nowhere"), rtnetlink.set_up("lo"))


def test_work_in_a_namespace_leaves_its_caller_where_it_was(net: Wires) -> None:
    """The thread that enters is another one, and its error arrives here."""
    before = os.readlink("/proc/thread-self/ns/net")

    def inside() -> str:
        return os.readlink("/proc/thread-self/ns/net")

    assert netns.run_inside(net.host, inside) != before
    assert os.readlink("/proc/thread-self/ns/net") == before
    with pytest.raises(ZeroDivisionError):
        netns.run_inside(None, lambda: 1 // 0)
