"""What can be known of a namespace only by being in it: hostname, System V objects, network links.

The kernel answers uname(2), /proc/sysvipc and netlink for the namespace of the calling thread. So this is done by a
thread that enters one namespace after the other by setns(2) and never comes back: it ends, and with it every hold on
them (`Observer` runs each observation in such a thread). Only kinds that move one thread: uts, ipc, net; nothing here
enters a lab's user or mount namespace, where a hostile file system could stop it. See setns(2), sysvipc(7), netlink(7).
"""

from __future__ import annotations

import os

from engine.linux import procfs, syscalls
from engine.linux.rtnetlink import Link, Route
from engine.observe.model import MAX_LINKS, LinkEntry

_SYSV = ("msg", "shm", "sem")


def hostname(fd: int) -> str | None:
    """The hostname of a uts namespace; the calling thread stays in it."""
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWUTS)
    except OSError:
        return None
    return os.uname().nodename


def ipc_objects(fd: int) -> dict[str, int] | None:
    """How many System V queues, segments and semaphore sets an ipc namespace holds; the calling thread stays in it."""
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWIPC)
        counts = {}
        for name in _SYSV:
            # One line for the heading, one for each object.
            counts[name] = max(0, procfs.read(f"/proc/sysvipc/{name}", 64 * 1024).count(b"\n") - 1)
    except OSError:  # a kernel without System V IPC has no such files
        return None
    return counts


class LinkReader:
    """Reads the links of network namespaces and finds which veth ends belong together."""

    def __init__(self) -> None:
        self._links: dict[int, list[Link]] = {}
        self._entries: dict[int, list[LinkEntry]] = {}
        self.truncated = False

    def read(self, inode: int, fd: int) -> None:
        """The links of one network namespace; the calling thread stays in it. A namespace that refuses is left out."""
        try:
            syscalls.setns(fd, syscalls.CLONE_NEWNET)
            with Route() as route:
                links, addresses = route.links(), route.addresses()
        except OSError:
            return
        self.truncated |= len(links) > MAX_LINKS
        links = links[:MAX_LINKS]
        names = {link.index: link.name for link in links}
        self._links[inode] = links
        self._entries[inode] = [
            LinkEntry(
                name=link.name,
                kind=link.kind or ("loopback" if link.name == "lo" else "device"),
                up=link.up,
                addresses=tuple(str(address) for address in addresses.get(link.index, ())),
                master=names.get(link.master) if link.master else None,
            )
            for link in links
        ]

    def result(self) -> dict[int, tuple[LinkEntry, ...]]:
        """Links by the inode of their network namespace, each with its peer where that was read as well."""
        return {
            inode: tuple(
                LinkEntry(entry.name, entry.kind, entry.up, entry.addresses, entry.master, self._peer(inode, link))
                for entry, link in zip(entries, self._links[inode], strict=True)
            )
            for inode, entries in self._entries.items()
        }

    def _peer(self, inode: int, link: Link) -> tuple[int, str] | None:
        """The end whose peer we are: indexes are only unique within a namespace, so both must name each other."""
        if link.kind != "veth" or not link.peer:
            return None
        for other_inode, others in self._links.items():
            if (link.peer_netnsid is None) != (other_inode == inode):
                continue
            for other in others:
                if other.kind == "veth" and other.index == link.peer and other.peer == link.index:
                    return other_inode, other.name
        return None
