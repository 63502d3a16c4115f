"""A host, a world and an uplink between them, each a network namespace, for the tests of engine/network.

    lab, container ── bridge ── host (uplink 198.51.100.2) ── (198.51.100.1, 203.0.113.1) world

Nothing here touches the network of the machine the tests run on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, ip_address

from engine.linux import netns, rtnetlink
from engine.linux.rtnetlink import Route
from engine.network import Network
from engine.settings import Settings

WORLD = IPv4Address("203.0.113.1")
WORLD_UPLINK = IPv4Interface("198.51.100.1/24")
HOST_UPLINK = IPv4Interface("198.51.100.2/24")


def new_netns() -> int:
    """An fd on a new network namespace with lo up."""

    def inside() -> int:
        with Route() as route:
            route.request(rtnetlink.set_up("lo"))
        return netns.open_here()

    return netns.run_inside(None, inside)


@contextmanager
def namespace() -> Iterator[int]:
    """A network namespace for the length of a test."""
    fd = new_netns()
    try:
        yield fd
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Wires:
    """The two namespaces, by fd."""

    host: int
    world: int

    def host_links(self) -> list[str]:
        """Names of the links on the host."""
        with netns.open_route(self.host) as route:
            return sorted(link.name for link in route.links())

    def ip(self, *words: str) -> str:
        """What ip(8) says on the host."""
        return run(self.host, "ip", *words)


@contextmanager
def wires() -> Iterator[Wires]:
    """A host with an uplink to a world."""
    with ExitStack() as stack:
        host, world = stack.enter_context(namespace()), stack.enter_context(namespace())
        veth = f"ip link add uplink type veth peer name uplink netns /proc/self/fd/{world}"
        run(host, *veth.split())
        for fd, address in ((host, HOST_UPLINK), (world, WORLD_UPLINK)):
            run(fd, "ip", "address", "add", str(address), "dev", "uplink")
            run(fd, "ip", "link", "set", "uplink", "up")
        run(world, "ip", "address", "add", f"{WORLD}/32", "dev", "lo")
        run(host, "ip", "route", "add", "default", "via", str(WORLD_UPLINK.ip))
        yield Wires(host, world)


def run(fd: int, *argv: str) -> str:
    """Run a program in a network namespace; its standard output."""

    def inside() -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, pass_fds=_fds(argv))
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    return netns.run_inside(fd, inside)


def _fds(argv: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(int(word.rpartition("/")[2]) for word in argv if word.startswith("/proc/self/fd/"))


def udp(fd: int) -> socket.socket:
    """A UDP socket in a network namespace."""
    return netns.run_inside(fd, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))


def seen_from(source: int, target: int, address: object, *, timeout_s: float = 0.4, local: object = None) -> str | None:
    """Send a datagram to an address that another namespace has; the sender's address as seen there, or None.

    Args:
        source: fd of the sender's namespace.
        target: fd of the receiver's.
        address: where to.
        timeout_s: how long to wait for it.
        local: address to send from, if not the kernel's choice.
    """
    ip_address(str(address))
    with udp(target) as receiver, udp(source) as sender:
        receiver.bind((str(address), 0))
        receiver.settimeout(timeout_s)
        if local is not None:
            sender.bind((str(local), 0))
        sender.sendto(b"?", receiver.getsockname())
        try:
            return receiver.recvfrom(16)[1][0]
        except TimeoutError:
            return None


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
