"""Who reaches whom, on the real kernel, in network namespaces of their own."""

from __future__ import annotations

import socket
from ipaddress import IPv4Interface

import pytest

from engine.linux import netns
from engine.network import firewall
from engine.settings import Settings
from tests.engine.wires import HOST_UPLINK, WORLD, Wires, engine, go, namespace, run, seen_from, udp

pytestmark = pytest.mark.root


def test_a_container_reaches_the_world_behind_the_hosts_address(net: Wires, settings: Settings) -> None:
    """The world sees the host's uplink address; the answer comes back; other containers and the host are in reach."""

    async def scenario() -> None:
        async with engine(settings, net) as network:
            one, other = await network.lease(), await network.lease()
            assert one.netns_fd is not None
            assert other.netns_fd is not None
            assert seen_from(one.netns_fd, net.world, WORLD) == str(HOST_UPLINK.ip)
            assert seen_from(one.netns_fd, net.host, one.gateway) == str(one.address.ip)
            assert seen_from(one.netns_fd, other.netns_fd, other.address.ip) == str(one.address.ip)
            assert "ttl=" in run(one.netns_fd, "ping", "-c", "1", "-W", "2", str(WORLD))

    go(scenario)


def test_a_leased_namespace_is_complete(net: Wires, settings: Settings) -> None:
    """lo and eth0 are up, eth0 has the address and hardware address that were promised, and IPv6 is off."""

    async def scenario() -> None:
        async with engine(settings, net) as network:
            lease = await network.lease()
            assert lease.netns_fd is not None
            with netns.open_route(lease.netns_fd) as route:
                links = {link.name: link for link in route.links()}
                assert links["lo"].up
                assert links["eth0"].up
                assert links["eth0"].mac == lease.mac
                assert route.addresses()[links["eth0"].index] == [lease.address]
                assert [entry.gateway for entry in route.routes() if not entry.destination.prefixlen] == [lease.gateway]
            assert lease.link in net.host_links()
            assert "inet6" not in net.ip("address", "show", "dev", lease.link)

    go(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("bridged_frames_pass_ip_rules", ["0", "1"])
def test_a_lab_is_alone(net: Wires, settings: Settings, bridged_frames_pass_ip_rules: str) -> None:
    """It reaches neither the host's services, nor the world, nor a container, nor a lab; only its gateway's echo.

    Docker switches br_netfilter on, other hosts have it off; where it is off, only the port's isolation parts two labs.
    """
    value = {"bridge/bridge-nf-call-iptables": bridged_frames_pass_ip_rules}
    netns.run_inside(net.host, lambda: netns.set_sysctls(value))

    async def scenario() -> None:
        with namespace() as one, namespace() as other:
            async with engine(settings, net) as network:
                lab = await network.attach("one", netns_fd=one)
                neighbour = await network.attach("other", netns_fd=other, outbound=True)
                container = await network.lease()
                assert container.netns_fd is not None
                assert "ttl=" in run(one, "ping", "-c", "1", "-W", "2", str(lab.gateway))
                assert seen_from(one, net.host, lab.gateway) is None
                assert seen_from(one, net.host, HOST_UPLINK.ip) is None
                assert seen_from(one, net.world, WORLD) is None
                assert seen_from(one, other, neighbour.address.ip) is None
                assert seen_from(other, one, lab.address.ip) is None
                assert seen_from(one, container.netns_fd, container.address.ip) is None
                assert seen_from(container.netns_fd, one, lab.address.ip) is None
                run(net.world, "ip", "route", "add", "10.0.0.0/8", "via", str(HOST_UPLINK.ip))
                assert seen_from(net.world, one, lab.address.ip) is None
                assert seen_from(net.world, container.netns_fd, container.address.ip) is None

    go(scenario)


def test_the_host_may_call_into_a_lab(net: Wires, settings: Settings) -> None:
    """And gets an answer, over TCP: a page may show what a learner's web server says."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net) as network:
                lab = await network.attach("one", netns_fd=fd)
                listener = netns.run_inside(fd, lambda: socket.create_server((str(lab.address.ip), 8080)))
                client = netns.run_inside(net.host, lambda: socket.create_connection((str(lab.address.ip), 8080), 3))
                with listener, client:
                    assert client.getsockname()[0] == str(lab.gateway)

    go(scenario)


def test_a_lab_that_is_let_out_reaches_the_world_and_no_longer_afterwards(net: Wires, settings: Settings) -> None:
    """Outbound is opened and closed while the lab runs; a cloud's metadata address stays out of reach."""

    async def scenario() -> None:
        with namespace() as fd:
            run(net.world, "ip", "address", "add", "169.254.169.254/32", "dev", "lo")
            async with engine(settings, net) as network:
                await network.attach("one", netns_fd=fd)
                assert seen_from(fd, net.world, WORLD) is None
                await network.allow_outbound("one", True)
                assert seen_from(fd, net.world, WORLD) == str(HOST_UPLINK.ip)
                assert "ttl=" in run(fd, "ping", "-c", "1", "-W", "2", str(WORLD))
                assert seen_from(fd, net.world, "169.254.169.254") is None
                await network.allow_outbound("one", False)
                assert seen_from(fd, net.world, WORLD) is None

    go(scenario)


def test_a_lab_has_no_more_connections_than_its_share(net: Wires, settings: Settings) -> None:
    """Of three hundred conversations with the world the first 256 get through; the host's table is not for one lab."""

    async def scenario() -> None:
        with namespace() as fd, udp(net.world) as receiver:
            receiver.bind((str(WORLD), 0))
            receiver.setblocking(False)
            async with engine(settings, net, pool_size=0) as network:
                await network.attach("one", netns_fd=fd, outbound=True)
                senders = [udp(fd) for _ in range(300)]
                for sender in senders:
                    sender.sendto(b"?", receiver.getsockname())
                    sender.close()
                arrived = 0
                while arrived <= 300:
                    try:
                        receiver.recv(16)
                    except BlockingIOError:
                        break
                    arrived += 1
                assert arrived == firewall.CONNECTIONS_PER_LAB

    go(scenario)


def test_a_lab_that_floods_is_slowed_down(net: Wires, settings: Settings) -> None:
    """Frames beyond the bound are dropped at the port, before the host spends more on them."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net, pool_size=0) as network:
                lab = await network.attach("one", netns_fd=fd)
                with udp(fd) as sender:
                    for _ in range(3 * firewall.FRAMES_BURST):
                        sender.sendto(b"?", (str(lab.gateway), 9))
                table = run(net.host, "nft", "list", "chain", "bridge", settings.instance, "from_lab")
                rule = next(line for line in table.splitlines() if "limit rate over" in line)
                assert int(rule.split("counter packets ")[1].split()[0]) > 0

    go(scenario)


def test_a_lab_cannot_send_in_anothers_name(net: Wires, settings: Settings) -> None:
    """A false IPv4 address, and the right one from a false hardware address, are dropped at the port."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net) as network:
                lab = await network.attach("one", netns_fd=fd, outbound=True)
                stranger = IPv4Interface((int(lab.address.ip) + 7, lab.address.network.prefixlen))
                run(fd, "ip", "address", "add", str(stranger), "dev", "eth0")
                assert seen_from(fd, net.world, WORLD, local=lab.address.ip) == str(HOST_UPLINK.ip)
                assert seen_from(fd, net.world, WORLD, local=stranger.ip) is None
                run(fd, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:01")
                assert seen_from(fd, net.world, WORLD, local=lab.address.ip) is None

    go(scenario)


def test_a_lab_cannot_claim_another_address_by_arp(net: Wires, settings: Settings) -> None:
    """The host learns no neighbour from a frame whose addresses are not those of the port."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net) as network:
                lab = await network.attach("one", netns_fd=fd)
                stranger = lab.address.ip + 9
                run(fd, "ip", "address", "add", f"{stranger}/17", "dev", "eth0")
                assert seen_from(net.host, fd, stranger) is None
                assert seen_from(net.host, fd, lab.address.ip) == str(lab.gateway)

    go(scenario)


def test_a_labs_ipv6_goes_nowhere(net: Wires, settings: Settings) -> None:
    """Its root may switch IPv6 on again; no frame of it gets past the port, and the bridge has none."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net) as network:
                lab = await network.attach("one", netns_fd=fd)
                assert "inet6" not in run(fd, "ip", "address", "show", "dev", "eth0")
                netns.run_inside(fd, lambda: netns.set_sysctls({"ipv6/conf/eth0/disable_ipv6": "0"}))
                bridge = f"{settings.instance}l0"
                assert "inet6" not in net.ip("address", "show", "dev", bridge)
                run(fd, "sh", "-c", "ping -6 -c 2 -i 0.2 -W 1 ff02::1%eth0 || true")
                assert "lladdr" not in net.ip("-6", "neigh", "show", "dev", bridge)
                assert lab.link in net.host_links()

    go(scenario)
