"""What is done to the host, and what is left as it was: forwarding, subnets, the firewalls of others."""

from __future__ import annotations

import pytest

from engine.errors import Conflict
from engine.linux import netns
from engine.network import Network
from engine.settings import Settings
from tests.engine.wires import HOST_UPLINK, WORLD, Wires, engine, go, namespace, run, seen_from

pytestmark = pytest.mark.root


def forwarding(net: Wires, link: str) -> str:
    """`net.ipv4.conf.LINK.forwarding` on the host."""
    return run(net.host, "cat", f"/proc/sys/net/ipv4/conf/{link}/forwarding").strip()


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


def test_beside_dockers_firewall_labs_are_alone_and_containers_get_out_as_the_doctor_says(
    net: Wires, settings: Settings
) -> None:
    """A foreign chain that drops forwarded packets keeps containers in; the rules the doctor names let them out."""

    async def scenario() -> None:
        chain = "add table ip filter; add chain ip filter DOCKER-USER; add chain ip filter FORWARD "
        chain += "{ type filter hook forward priority 0; policy drop; }; add rule ip filter FORWARD jump DOCKER-USER"
        run(net.host, "nft", chain)
        netns.run_inside(net.host, lambda: netns.set_sysctls({"ipv4/ip_forward": "1"}))
        async with engine(settings, net) as network:
            lease = await network.lease()
            assert lease.netns_fd is not None
            assert seen_from(lease.netns_fd, net.host, lease.gateway) == str(lease.address.ip)
            assert seen_from(lease.netns_fd, net.world, WORLD) is None
            bridge = f"{settings.instance}c0"
            for rule in (f"iifname {bridge} accept", f"oifname {bridge} ct state related,established accept"):
                run(net.host, "nft", f"insert rule ip filter DOCKER-USER {rule}")
            assert "ttl=" in run(lease.netns_fd, "ping", "-c", "1", "-W", "2", str(WORLD))
        assert "DOCKER-USER" in run(net.host, "nft", "list", "ruleset")

    go(scenario)


async def failing_setup(settings: Settings, net: Wires) -> None:
    """Set up, and close what there is in any case."""
    network = Network(settings, pool_size=0, host=net.host)
    try:
        await network.setup()
    finally:
        await network.close()


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
