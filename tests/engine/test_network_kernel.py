"""The network on the real kernel, in namespaces of its own: who reaches whom, and that nothing is left."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from engine.errors import BadInput, Conflict, Failed, NotFound
from engine.linux import netns, rtnetlink
from engine.network import Network, firewall
from engine.settings import Settings
from tests.engine.wires import HOST_UPLINK, WORLD, Wires, namespace, run, seen_from, udp, wires

pytestmark = pytest.mark.root


@pytest.fixture
def net() -> Iterator[Wires]:
    """A host with an uplink to a world."""
    with wires() as net:
        yield net


@pytest.fixture
def settings(instance: str, tmp_path: Path) -> Settings:
    """Settings of an engine of this test's own."""
    return Settings(instance=instance, data=tmp_path, run=tmp_path)


@asynccontextmanager
async def engine(settings: Settings, net: Wires, pool_size: int = 2) -> AsyncIterator[Network]:
    """A network that is set up, and removed at the end."""
    network = Network(settings, pool_size=pool_size, host=net.host)
    await network.setup()
    try:
        yield network
    finally:
        await network.close(remove=True)


def go(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario in an event loop."""

    async def main() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(main())


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


def test_what_was_not_forwarded_before_is_not_forwarded_now(net: Wires, settings: Settings) -> None:
    """Forwarding is on for the uplink because of us; the world still cannot route through to a third network."""

    async def scenario() -> None:
        with namespace() as third:
            veth = f"link add third type veth peer name far netns /proc/self/fd/{third}"
            net.ip(*veth.split())
            for fd, name, address in ((net.host, "third", "192.0.2.1/24"), (third, "far", "192.0.2.2/24")):
                run(fd, "ip", "address", "add", address, "dev", name)
                run(fd, "ip", "link", "set", name, "up")
            run(third, "ip", "route", "add", "default", "via", "192.0.2.1")
            run(net.world, "ip", "route", "add", "192.0.2.0/24", "via", str(HOST_UPLINK.ip))
            async with engine(settings, net) as network:
                lease = await network.lease()
                assert lease.netns_fd is not None
                assert seen_from(lease.netns_fd, net.world, WORLD) == str(HOST_UPLINK.ip)
                assert seen_from(net.world, third, "192.0.2.2") is None

    go(scenario)


def forwarding(net: Wires, link: str) -> str:
    """`net.ipv4.conf.LINK.forwarding` on the host."""
    return run(net.host, "cat", f"/proc/sys/net/ipv4/conf/{link}/forwarding").strip()


def test_forwarding_is_turned_on_at_the_first_lease_and_put_back(net: Wires, settings: Settings) -> None:
    """Not before it is needed, not for the whole host, and not after the end; also when the engine died in between."""

    async def scenario() -> None:
        network = Network(settings, pool_size=1, host=net.host)
        await network.setup()
        assert forwarding(net, "uplink") == "0"
        await network.lease()
        assert (forwarding(net, "uplink"), forwarding(net, "all")) == ("1", "0")
        await network.close()  # as after a crash: nothing is put back
        async with engine(settings, net) as after:
            await after.sweep()
            assert forwarding(net, "uplink") == "1"
        assert forwarding(net, "uplink") == "0"
        assert list(settings.run.iterdir()) == []

    go(scenario)


def test_a_host_that_routes_already_is_left_alone(net: Wires, settings: Settings) -> None:
    """Docker has set ip_forward: we neither set nor unset anything."""

    async def scenario() -> None:
        netns.run_inside(net.host, lambda: netns.set_sysctls({"ipv4/ip_forward": "1"}))
        async with engine(settings, net) as network:
            await network.lease()
            assert "unforwarded {\n\t\ttype ifname . ifname\n\t}" in run(
                net.host, "nft", "list", "set", "inet", settings.instance, "unforwarded"
            )
        assert (forwarding(net, "uplink"), forwarding(net, "all")) == ("1", "1")

    go(scenario)


def test_a_subnet_in_use_is_avoided_or_refused(net: Wires, settings: Settings) -> None:
    """The default moves on to the next free one; one that was chosen is refused with the name of the other link."""

    async def scenario() -> None:
        net.ip("address", "add", "10.209.44.1/24", "dev", "lo")
        async with engine(settings, net) as network:
            assert str((await network.lease()).gateway) == "10.210.0.1"
        chosen = settings.model_copy(update={"subnet": "10.209.0.0/16"})
        with pytest.raises(Conflict, match=r"overlaps 10\.209\.44\.0/24 on lo"):
            await failing_setup(chosen, net)

    go(scenario)


async def failing_setup(settings: Settings, net: Wires) -> None:
    """Set up, and close what there is in any case."""
    network = Network(settings, pool_size=0, host=net.host)
    try:
        await network.setup()
    finally:
        await network.close()


def test_nothing_is_left_at_the_end(net: Wires, settings: Settings) -> None:
    """After many leases and labs, some released and some not: no link, no table, no fd."""

    async def scenario() -> None:
        before = (net.host_links(), len(os.listdir("/proc/self/fd")), threading.active_count())
        with namespace() as one, namespace() as other:
            async with engine(settings, net, pool_size=4) as network:
                leases = [await network.lease() for _ in range(12)]
                await network.attach("one", netns_fd=one, outbound=True)
                await network.attach("other", netns_fd=other)
                for lease in leases[:6]:
                    network.release(lease.link)
                    network.release(lease.link)
                await network.drained()
                assert not {lease.link for lease in leases[:6]} & set(net.host_links())
                assert {lease.link for lease in leases[6:]} <= set(net.host_links())
        assert (net.host_links(), len(os.listdir("/proc/self/fd")), threading.active_count()) == before
        assert run(net.host, "nft", "list", "ruleset") == ""

    go(scenario)


def test_a_second_engine_takes_over_what_still_runs_and_sweeps_the_rest(net: Wires, settings: Settings) -> None:
    """The first dies without a word: its container and lab are adopted, its pool and a stray link are swept."""

    async def scenario() -> None:
        with namespace() as fd:
            first = Network(settings, pool_size=2, host=net.host)
            await first.setup()
            lease, swept = await first.lease(), await first.lease()
            lab = await first.attach("one", netns_fd=fd, outbound=True)
            kept = os.dup(lease.netns_fd or -1)  # as the container's processes keep it
            lost = os.dup(swept.netns_fd or -1)
            await first.close()
            async with engine(settings, net, pool_size=1) as second:
                second.adopt_container(lease.link)
                assert (await second.adopt_lab("one", lab.link, outbound=True)) == lab
                assert swept.link in await second.sweep()
                assert swept.link not in net.host_links()
                assert {lease.link, lab.link} <= set(net.host_links())
                assert seen_from(kept, net.world, WORLD) == str(HOST_UPLINK.ip)
                assert seen_from(fd, net.world, WORLD) == str(HOST_UPLINK.ip)
                assert (await second.lease()).link not in {lease.link, swept.link}
            os.close(kept)
            os.close(lost)

    go(scenario)


def test_sweep_leaves_other_instances_alone(net: Wires, settings: Settings) -> None:
    """A link of an instance whose name begins with ours is not ours."""

    async def scenario() -> None:
        stranger = f"{settings.instance}cl7"
        net.ip("link", "add", stranger, "type", "bridge")
        async with engine(settings, net) as network:
            net.ip("link", "add", f"{settings.instance}l9", "type", "bridge")
            assert await network.sweep() == [f"{settings.instance}l9"]
        assert stranger in net.host_links()

    go(scenario)


def test_a_lab_is_plugged_in_once(net: Wires, settings: Settings) -> None:
    """Twice is a conflict; after its release it may be again, with another address."""

    async def scenario() -> None:
        with namespace() as fd, namespace() as again:
            async with engine(settings, net) as network:
                lab = await network.attach("one", netns_fd=fd)
                with pytest.raises(Conflict, match="plugged in already"):
                    await network.attach("one", netns_fd=fd)
                with pytest.raises(BadInput):
                    await network.attach("two")
                with pytest.raises(NotFound):
                    await network.allow_outbound("two", True)
                network.release(lab.link)
                assert (await network.attach("one", netns_fd=again)).address != lab.address

    go(scenario)


def test_a_lab_that_cannot_be_plugged_in_leaves_nothing(net: Wires, settings: Settings) -> None:
    """Its namespace has an eth0 already: the error says so, and the name, the link and the slot are free again."""

    async def scenario() -> None:
        with namespace() as fd, namespace() as good:
            run(fd, "ip", "link", "add", "eth0", "type", "bridge")
            async with engine(settings, net, pool_size=0) as network:
                before = net.host_links()
                with pytest.raises(Failed, match="File exists"):
                    await network.attach("one", netns_fd=fd)
                await network.drained()
                assert net.host_links() == before
                await network.attach("one", netns_fd=good)

    go(scenario)


def test_a_process_that_is_gone_is_an_error_with_its_number(net: Wires, settings: Settings) -> None:
    """A lab that died before it was plugged in."""

    async def scenario() -> None:
        async with engine(settings, net, pool_size=0) as network:
            with pytest.raises(Failed, match="No such file or directory: '/proc/4194999/ns/net'"):
                await network.attach("one", pid=4_194_999)

    go(scenario)


def test_an_attach_that_is_cancelled_leaves_nothing(net: Wires, settings: Settings) -> None:
    """A client hangs up while its lab is being plugged in: the link is made all the same, and then taken down."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net, pool_size=0) as network:
                before = net.host_links()
                task = asyncio.create_task(network.attach("one", netns_fd=fd))
                lease = asyncio.create_task(network.lease())
                await asyncio.sleep(0)  # both have asked the worker
                task.cancel()
                lease.cancel()
                await asyncio.gather(task, lease, return_exceptions=True)
                await network.drained()
                assert net.host_links() == before
                await network.attach("one", netns_fd=fd)

    go(scenario)


def test_a_bridge_somebody_deleted_is_named(net: Wires, settings: Settings) -> None:
    """`ip link delete` by hand: the next lab gets a sentence and not a number."""

    async def scenario() -> None:
        with namespace() as fd:
            async with engine(settings, net, pool_size=0) as network:
                net.ip("link", "delete", f"{settings.instance}l0")
                with pytest.raises(Failed, match=f"The bridge {settings.instance}l0 is gone"):
                    await network.attach("one", netns_fd=fd)

    go(scenario)


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
