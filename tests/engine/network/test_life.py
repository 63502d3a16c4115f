"""Links come and go: leases, labs, failures half-way, a second engine; and nothing is left."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from engine.errors import BadInput, Conflict, Failed, NotFound
from engine.network import Network
from engine.settings import Settings
from tests.engine.wires import HOST_UPLINK, WORLD, Wires, engine, go, namespace, run, seen_from

pytestmark = pytest.mark.root


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
