"""What one engine has on the host's network, as blocking work: set up, plugged in, taken down.

A `Plant` knows the segments and does things in the right order; which slots are in use, and for whom, is for
network.py to say, which calls everything here from a worker's thread with the worker's socket.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import structlog

from engine.errors import Failed
from engine.linux import netns
from engine.linux.rtnetlink import Route
from engine.network import bridge, firewall, forwarding
from engine.network.addresses import Segment, choose_subnet, parse_subnet, segments
from engine.network.bridge import Port

log = structlog.get_logger(__name__)

# Setting up takes 50 ms, of which nft may take up to its own deadline when the machine is badly overloaded.
LOCK_S = 30.0


class Plant:
    """Two bridges, their ports, two tables of rules, and whether the host forwards.

    Args:
        instance: names all of it.
        subnet: the one to use; None to find a free one.
        labs_max: how many labs the labs' segment must have room for.
        state: file that remembers what was changed on the host.
    """

    def __init__(self, instance: str, subnet: str | None, labs_max: int, state: Path) -> None:
        self._instance = instance
        self._subnet = subnet
        self._labs_max = labs_max
        self._state = state
        self._mtu = bridge.MTU_MAX
        self._forwarding = forwarding.Forwarding()
        self.containers: Segment
        self.labs: Segment

    @property
    def mtu(self) -> int:
        """What the links of this network carry at once, in bytes."""
        return self._mtu

    def prepare(self, route: Route) -> list[str]:
        """Make bridges and rules, or take over those of an earlier engine.

        Returns:
            Names of the links an earlier engine left, the bridges not among them.

        Raises:
            Unsupported, Conflict, BadInput, Failed, OSError.
        """
        wanted = parse_subnet(self._subnet) if self._subnet is not None else None
        with _alone():
            subnet = self._own_subnet(route) or choose_subnet(wanted, _networks(route))
            if wanted is not None and subnet != wanted:
                log.warning("network_subnet_kept", subnet=str(subnet), wanted=str(wanted), until="all labs have ended")
            self.containers, self.labs = segments(self._instance, subnet, self._labs_max)
            self.labs = self.labs.with_room_for(link.name for link in route.links())
            self._mtu = bridge.uplink_mtu(route)
            self._forwarding = forwarding.load(self._state)
            # The rules first: there is no moment at which a lab is plugged in and not guarded.
            firewall.apply(
                firewall.ruleset(self._instance, self.containers, self.labs)
                + firewall.keep_unforwarded(self._instance, self._forwarding.unforwarded)
            )
            for segment in self._bridged():
                bridge.ensure_bridge(route, segment, self._mtu)
        return self.ports(route)

    def _bridged(self) -> tuple[Segment, ...]:
        """The segments that have a bridge: an engine that makes no labs needs none for them."""
        return (self.containers, self.labs) if self._labs_max else (self.containers,)

    def _own_subnet(self, route: Route) -> IPv4Network | None:
        """The subnet of our bridges, where an earlier engine left them: its labs and containers live in it."""
        names = {link.index: link.name for link in route.links()}
        for index, addresses in route.addresses().items():
            for address in addresses:
                if names.get(index) == f"{self._instance}c0" and isinstance(address, IPv4Interface):
                    return address.network.supernet()
        return None

    def ports(self, route: Route) -> list[str]:
        """Names of all links on the host that are ours, the bridges not among them."""
        return [link.name for link in route.links() if self.containers.slot(link.name) or self.labs.slot(link.name)]

    def make(self, route: Route, slot: int) -> int:
        """A network namespace for a container, plugged in; its fd."""
        port = Port(self.containers, slot, isolated=False, alias="container", mtu=self._mtu)
        fd, inside = bridge.make_namespace()
        try:
            with inside:
                bridge.wire(route, port, fd, inside)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def attach(self, route: Route, slot: int, lab: str, target: int, *, is_pid: bool) -> None:
        """Plug a lab's network namespace in, given by a process in it or by an fd on it."""
        port = Port(self.labs, slot, isolated=True, alias=f"lab {lab}", mtu=self._mtu)
        fd = netns.open_of(target) if is_pid else os.dup(target)
        try:
            with bridge.enter_namespace(fd) as inside:
                bridge.wire(route, port, fd, inside)
        finally:
            os.close(fd)

    def delete(self, route: Route, names: Iterable[str]) -> list[str]:
        """Delete links, and what the rules know of the labs behind them; the names that are still there."""
        names = list(names)
        left = bridge.delete_links(route, names, self.containers.doomed)
        slots = [slot for slot in map(self.labs.slot, names) if slot is not None]
        if slots:
            firewall.apply(
                "".join(firewall.outbound(self._instance, self.labs.address(slot).ip, False) for slot in slots)
            )
        return left

    def allow_outbound(self, route: Route, slot: int, allowed: bool) -> None:
        """Let a lab reach the world, or no longer."""
        firewall.apply(firewall.outbound(self._instance, self.labs.address(slot).ip, allowed))

    def forward(self, route: Route, segment: Segment) -> None:
        """See to it that the host routes for a segment; see forwarding.py."""
        planned = forwarding.plan(route, (self.containers.bridge, self.labs.bridge), segment.bridge, self._forwarding)
        if planned == self._forwarding:
            return
        # Remembered before it is done, guarded before it is open.
        forwarding.save(self._state, planned)
        firewall.apply(firewall.keep_unforwarded(self._instance, planned.unforwarded))
        forwarding.turn_on(planned.links)
        log.info("network_forwarding_on", links=sorted(set(planned.links) - set(self._forwarding.links)))
        self._forwarding = planned

    def remove(self, route: Route) -> None:
        """Leave nothing: ports, bridges, rules, forwarding.

        Raises:
            Failed: links that would not go, by name.
        """
        names = [*self.ports(route), *(segment.bridge for segment in self._bridged())]
        left = bridge.delete_links(route, names, self.containers.doomed)
        firewall.apply(firewall.removal(self._instance))
        forwarding.turn_off(self._forwarding.links)
        self._state.unlink(missing_ok=True)
        if left:
            raise Failed(f"These links are left: {', '.join(left)}.", f"Remove them: `ip link delete {left[0]}`.")


@contextmanager
def _alone() -> Iterator[None]:
    """One engine at a time looks for a free subnet and takes it.

    The lock is on the directory that lists the links of this network namespace: just as far-reaching as what it guards,
    and no file of ours is left.

    Raises:
        Failed: another engine has been at it for LOCK_S.
    """
    lock = os.open("/sys/class/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failed("Another engine is setting up its network and does not finish.", "Stop it.") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _networks(route: Route) -> list[tuple[IPv4Network, str]]:
    """The IPv4 networks this host has an address in or a route to, each with the link."""
    names = {link.index: link.name for link in route.links()}
    networks = [
        (address.network, names.get(index, "?"))
        for index, addresses in route.addresses().items()
        for address in addresses
        if isinstance(address, IPv4Interface)
    ]
    return networks + [(entry.destination, names.get(entry.index, "?")) for entry in route.routes()]
