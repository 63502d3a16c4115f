"""The network of one engine: what the runtime asks for, put together from the other files of this package.

A container leases a network namespace that is ready; a lab, whose namespace belongs to its own user namespace, has that
plugged in. Both are released by the name of their link on the host, from which everything else follows.

    network = Network(settings)
    await network.setup()                         # bridges, firewall, pool
    network.adopt_container("hakoc7")             # after a restart: what the survivors hold …
    await network.adopt_lab("x7f2", "hakol3")
    await network.sweep()                         # … and away with the rest
    lease = await network.lease()
    lab = await network.attach("k2p9", pid=4711)
    network.release(lease.link)
    await network.close(remove=True)

All methods are for the event loop's thread; blocking work is done by two `Worker`s.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any, Protocol

import structlog

from engine.errors import BadInput, Conflict, EngineError, Failed, NotFound
from engine.network.addresses import PORTS_MAX, Segment, Slots
from engine.network.janitor import Janitor
from engine.network.plant import Plant
from engine.network.pool import Pool
from engine.network.worker import Worker

log = structlog.get_logger(__name__)

POOL_SIZE = 8
# The default route may move to another link (Wi-Fi, VPN); looked for at a lease, at most this often.
FORWARDING_AGE_S = 10.0


class NetworkSettings(Protocol):
    """What of the engine's settings is used; a lab's own engine has others than `Settings` (daemon_inner.py)."""

    @property
    def instance(self) -> str: ...

    @property
    def subnet(self) -> str: ...

    @property
    def labs_max(self) -> int: ...

    @property
    def run(self) -> Path: ...

    @property
    def model_fields_set(self) -> set[str]: ...


@dataclass(slots=True)
class NetLease:
    """A network namespace for one container, or the record of one after a restart.

    Attributes:
        link: its link on the host; `Network.release` wants it, and it is all that needs to be kept on disk.
        address: of eth0 in it.
        gateway: the bridge.
        mac: of eth0.
        netns_fd: join it with setns(2); None after a restart. It belongs to the lease.
    """

    link: str
    address: IPv4Interface
    gateway: IPv4Address
    mac: str
    netns_fd: int | None = None

    def close(self) -> None:
        """Close the fd, once the container's process is inside: its processes keep the namespace from then on."""
        if self.netns_fd is not None:
            os.close(self.netns_fd)
            self.netns_fd = None


@dataclass(frozen=True, slots=True)
class LabLink:
    """How a lab is plugged in; the fields are those of a NetLease, and whether it may reach the world."""

    lab: str
    link: str
    address: IPv4Interface
    gateway: IPv4Address
    mac: str
    outbound: bool = False


class Network:
    """Bridges, firewall, leases and the labs' links of one engine.

    Args:
        settings: `instance`, `subnet`, `labs_max` (0: no bridge for labs) and `run` are used. A subnet that was not set
            explicitly is a first choice: where the machine uses it already, the next free one is taken.
        pool_size: network namespaces kept ready.
        host: an fd on a network namespace to use as the host's; None for this process's.
    """

    def __init__(self, settings: NetworkSettings, *, pool_size: int = POOL_SIZE, host: int | None = None) -> None:
        subnet = settings.subnet if "subnet" in settings.model_fields_set else None
        self._plant = Plant(settings.instance, subnet, settings.labs_max, settings.run / "forwarding.json")
        self._hot = Worker("network", host)
        self._cold = Worker("network-janitor", host)
        self._pool: Pool[NetLease] = Pool(self._make_lease, pool_size)
        self._janitor = Janitor(self._delete)
        self._leases: dict[str, NetLease] = {}
        self._labs: dict[str, LabLink] = {}
        self._found: set[str] = set()  # links of an earlier engine, until they are adopted or swept
        self._forwarding_checked: dict[str, float] = {}
        self._aftermath: set[asyncio.Task[None]] = set()
        self._containers: Slots
        self._lab_slots: Slots

    async def setup(self) -> None:
        """Make bridges and firewall, or take over those of an earlier engine, and begin to fill the pool.

        Raises:
            Unsupported: no bridges or no nf_tables here, or nft(8) is missing.
            Conflict, BadInput: the subnet.
            Failed: the kernel refused something.
        """
        try:
            self._found = set(await self._hot.run(self._plant.prepare))
        except OSError as error:
            raise Failed(f"The network could not be set up: {error}.", "See `hako doctor`.") from error
        containers, labs = self._plant.containers, self._plant.labs
        self._containers = Slots(containers.slots, at_most=PORTS_MAX, what="container")
        self._lab_slots = Slots(labs.slots, at_most=PORTS_MAX, what="lab")
        for link in self._found:
            self._mark_used(link)
        log.info("network_ready", containers=str(containers.network), labs=str(labs.network), found=len(self._found))
        self._pool.start()

    async def lease(self) -> NetLease:
        """A network namespace with lo, eth0, an address, a default route and the way out.

        Raises:
            Exhausted: too many containers. Failed: the kernel refused.
        """
        await self._ensure_forwarding(self._plant.containers)
        lease = await self._pool.take()
        self._leases[lease.link] = lease
        return lease

    def by_hand(self) -> dict[str, Any]:
        """What one needs to plug a container in by hand; the address is the one that would be leased last."""
        segment = self._plant.containers
        slot = segment.slots
        address, mac = str(segment.address(slot)), segment.mac(slot)
        gateway = str(segment.gateway)
        return {"bridge": segment.bridge, "address": address, "gateway": gateway, "mac": mac, "mtu": self._plant.mtu}

    async def attach(
        self, lab: str, *, pid: int | None = None, netns_fd: int | None = None, outbound: bool = False
    ) -> LabLink:
        """Plug a lab's network namespace in: eth0 with an address and a default route, cut off from everybody.

        Args:
            lab: its id.
            pid: a process in the namespace; or
            netns_fd: an fd on it, which stays the caller's.
            outbound: whether the lab may reach the world.

        Raises:
            Conflict: it is plugged in. Exhausted: too many labs. Failed: the kernel refused; nothing is left.
        """
        target = pid if pid is not None else netns_fd
        if target is None or (pid is not None and netns_fd is not None):
            raise BadInput("attach: give either pid or netns_fd.")
        if lab in self._labs:
            raise Conflict(f"Lab {lab} is plugged in already, by {self._labs[lab].link}.", "Release it first.")
        slot = self._lab_slots.take()
        segment = self._plant.labs
        link = LabLink(lab, segment.link(slot), segment.address(slot), segment.gateway, segment.mac(slot))
        self._labs[lab] = link
        work = asyncio.ensure_future(self._hot.run(self._plant.attach, slot, lab, target, is_pid=pid is not None))
        try:
            await asyncio.shield(work)
            if outbound:
                await self.allow_outbound(lab, True)
        except BaseException as error:
            self._later(self._release_after(work, link.link))
            if isinstance(error, OSError):
                raise Failed(f"Lab {lab} could not be plugged in: {error}.") from error
            raise
        return self._labs[lab]

    async def allow_outbound(self, lab: str, allowed: bool) -> None:
        """Let a lab reach the world, or no longer; its open connections end too.

        Raises:
            NotFound: no such lab. Failed: nft refused.
        """
        link = self._labs.get(lab)
        if link is None:
            raise NotFound(f"Lab {lab} is not plugged in.")
        slot = self._plant.labs.slot(link.link) or 0
        if allowed:
            await self._ensure_forwarding(self._plant.labs)
        await self._hot.run(self._plant.allow_outbound, slot, allowed)
        if lab in self._labs:
            self._labs[lab] = replace(link, outbound=allowed)

    def release(self, link: str) -> None:
        """Unplug a container or a lab by the name of its link; again is no error. Returns at once, see `drained`."""
        lease = self._leases.pop(link, None)
        lab = next((each.lab for each in self._labs.values() if each.link == link), None)
        if lease is not None:
            lease.close()
        if lab is not None:
            del self._labs[lab]
        if lease is not None or lab is not None:
            self._doom(link)

    async def drained(self) -> None:
        """Wait until the links of everything released are gone from the kernel."""
        while self._aftermath:
            await asyncio.gather(*self._aftermath, return_exceptions=True)
        await self._janitor.drained()

    def adopt_container(self, link: str) -> NetLease:
        """Take over a link that an earlier engine leased; whether its container still runs is for the caller to judge.

        Raises:
            BadInput: not the name of a container's link.
        """
        segment = self._plant.containers
        slot = self._adopt(segment, link)
        lease = NetLease(link, segment.address(slot), segment.gateway, segment.mac(slot))
        return self._leases.setdefault(link, lease)

    async def adopt_lab(self, lab: str, link: str, *, outbound: bool = False) -> LabLink:
        """Take over the link of a lab that an earlier engine plugged in.

        Raises:
            BadInput: not the name of a lab's link. Failed: nft refused.
        """
        segment = self._plant.labs
        slot = self._adopt(segment, link)
        self._labs[lab] = LabLink(lab, link, segment.address(slot), segment.gateway, segment.mac(slot))
        if outbound:
            await self.allow_outbound(lab, True)
        return self._labs[lab]

    async def sweep(self) -> list[str]:
        """Delete every link named after this instance that nobody holds; call it when all survivors are adopted.

        Returns:
            The names that were found and deleted.
        """
        ports = await self._cold.run(self._plant.ports)
        strays = [name for name in ports if name in self._found or not self._is_used(name)]
        self._found.clear()
        for name in strays:
            self._mark_used(name)
            self._doom(name)
        await self._janitor.drained()
        if strays:
            log.info("network_swept", links=strays)
        return strays

    async def close(self, *, remove: bool = False) -> None:
        """End.

        Args:
            remove: leave nothing: links, bridges, firewall, forwarding. Without it what containers and labs use stays,
                for the next engine to take over.
        """
        for lease in await self._pool.close():
            self._leases[lease.link] = lease
            self.release(lease.link)
        for lease in self._leases.values():
            lease.close()
        try:
            await self.drained()
            if remove:
                await self._cold.run(self._plant.remove)
        finally:
            await self._hot.close()
            await self._cold.close()

    async def _make_lease(self) -> NetLease:
        slot = self._containers.take()
        segment = self._plant.containers
        work = asyncio.ensure_future(self._hot.run(self._plant.make, slot))
        lease = NetLease(segment.link(slot), segment.address(slot), segment.gateway, segment.mac(slot))
        try:
            lease.netns_fd = await asyncio.shield(work)
        except BaseException as error:
            self._leases[lease.link] = lease
            self._later(self._release_after(work, lease.link))
            if isinstance(error, OSError):
                raise Failed(f"No network for a container: {error}.") from error
            raise
        return lease

    async def _release_after(self, work: asyncio.Future[Any], link: str) -> None:
        """Release what failed or was cancelled half-way, but only when the worker is done with it."""
        try:
            made = await work
        except (OSError, EngineError):
            made = None  # the caller has been told
        if isinstance(made, int):
            os.close(made)
        self.release(link)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="network-aftermath")
        self._aftermath.add(task)
        task.add_done_callback(self._aftermath.discard)

    async def _ensure_forwarding(self, segment: Segment) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._forwarding_checked.get(segment.bridge, -FORWARDING_AGE_S) >= FORWARDING_AGE_S:
            await self._hot.run(self._plant.forward, segment)
            self._forwarding_checked[segment.bridge] = now

    async def _delete(self, names: list[str]) -> list[str]:
        return await self._cold.run(self._plant.delete, names)

    def _doom(self, link: str) -> None:
        def gone() -> None:
            segment, slots = self._segment(link)
            slots.give(segment.slot(link) or 0)

        self._janitor.doom(link, gone)

    def _adopt(self, segment: Segment, link: str) -> int:
        slot = segment.slot(link)
        if slot is None:
            raise BadInput(f"{link!r} is not the name of a link of {segment.bridge}.")
        self._mark_used(link)
        self._found.discard(link)
        return slot

    def _segment(self, link: str) -> tuple[Segment, Slots]:
        """Which segment a link of ours is on."""
        if self._plant.labs.slot(link) is not None:
            return self._plant.labs, self._lab_slots
        return self._plant.containers, self._containers

    def _mark_used(self, link: str) -> None:
        segment, slots = self._segment(link)
        slots.adopt(segment.slot(link) or 0)

    def _is_used(self, link: str) -> bool:
        segment, slots = self._segment(link)
        return segment.slot(link) in slots
