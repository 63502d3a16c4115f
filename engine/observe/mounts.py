"""The mount tables of a lab: one for each mount namespace, parsed anew only when the kernel's text changed.

Two things the text does not say are found by opening the mount from outside: which pid namespace a proc mount shows,
and the namespace a bind mount keeps. Targets belong to the learner: they are opened with O_PATH by openat2(2) inside
the namespace's root, and used only if what was opened is the very mount of the table. From outside a lab a FUSE mount
answers EACCES at once, so nothing here waits for a learner. See proc(5), mount_namespaces(7), openat2(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from engine.linux import procfs, syscalls
from engine.observe.model import MAX_MOUNTS, MountEntry, Process, text

# A line has about 150 bytes; what does not fit is more than is shown.
_TABLE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class KeptNamespace:
    """A namespace held by a bind mount: mount(8) of a file in /proc/PID/ns, as `unshare --uts=FILE` makes it."""

    kind: str
    inode: int
    target: str
    mnt: int
    mount_id: int
    pid: int


@dataclass(frozen=True, slots=True)
class _Table:
    raw: bytes
    pid: int
    entries: tuple[MountEntry, ...]
    kept: tuple[KeptNamespace, ...]
    truncated: bool


class MountTables:
    """Remembers the tables of one lab between observations. For one thread at a time."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._tables: dict[int, _Table] = {}

    def read(self, processes: Iterable[Process]) -> tuple[dict[int, tuple[MountEntry, ...]], list[KeptNamespace], bool]:
        """The tables by the inode of their namespace, the namespaces kept in them, and whether one was cut short.

        Args:
            processes: of the lab; the oldest in a mount namespace lends its root.
        """
        oldest: dict[int, Process] = {}
        for process in processes:
            inode = process.ns.get("mnt")
            if inode is not None and (inode not in oldest or process.start < oldest[inode].start):
                oldest[inode] = process
        tables: dict[int, _Table] = {}
        for inode, process in oldest.items():
            table = self._table(inode, process.pid)
            if table is not None:
                tables[inode] = table
        self._tables = tables
        kept = [namespace for table in tables.values() for namespace in table.kept]
        entries = {inode: table.entries for inode, table in tables.items()}
        return entries, kept, any(table.truncated for table in tables.values())

    def _table(self, inode: int, pid: int) -> _Table | None:
        try:
            raw = procfs.read(f"{self._proc}/{pid}/mountinfo", _TABLE_BYTES)
        except OSError:  # gone, or (EINVAL) a zombie
            return None
        before = self._tables.get(inode)
        if before is not None and before.raw == raw and before.pid == pid:
            return before
        mounts = procfs.parse_mountinfo(raw)
        entries = tuple(_entry(mount) for mount in mounts[:MAX_MOUNTS])
        entries = tuple(self._with_pid_ns(entry, pid) if entry.type == "proc" else entry for entry in entries)
        kept = tuple(_kept(entries, inode, pid))
        return _Table(raw, pid, entries, kept, len(mounts) > MAX_MOUNTS or len(raw) == _TABLE_BYTES)

    def _with_pid_ns(self, entry: MountEntry, pid: int) -> MountEntry:
        try:
            with opened(pid, entry.target, entry.id, self._proc) as fd:
                # PID 1 of a proc file system is the first process of the pid namespace it shows.
                return replace(entry, pid_ns=procfs.parse_ns_link(os.readlink("1/ns/pid", dir_fd=fd)))
        except (OSError, ValueError):  # covered by another mount, or nobody lives in that pid namespace any more
            return entry


@contextmanager
def opened(pid: int, target: str, mount_id: int, proc: str = "/proc") -> Iterator[int]:
    """An O_PATH fd on the root of a mount in a process's mount namespace.

    Raises:
        OSError: it cannot be reached, or what lies at `target` is another mount than `mount_id` (ESTALE).
    """
    root = os.open(f"{proc}/{pid}/root", os.O_PATH | os.O_CLOEXEC)
    try:
        resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
        fd = syscalls.openat2(root, target, os.O_PATH, resolve=resolve)
    finally:
        os.close(root)
    try:
        if _mount_id(fd) != mount_id:
            raise OSError(116, f"{target}: Stale file handle")
        yield fd
    finally:
        os.close(fd)


def _mount_id(fd: int) -> int:
    info = procfs.read_page(f"/proc/self/fdinfo/{fd}")
    return int(info.split(b"mnt_id:", 1)[1].split(None, 1)[0])


def _entry(mount: procfs.Mount) -> MountEntry:
    return MountEntry(
        id=mount.id,
        parent=mount.parent,
        device=mount.device,
        root=text(mount.root),
        target=text(mount.target),
        type=text(mount.type),
        source=text(mount.source),
        options=tuple(text(option) for option in mount.options),
        super=tuple(text(option) for option in mount.super_options),
        shared=mount.shared,
        master=mount.master,
    )


def _kept(entries: Iterable[MountEntry], mnt: int, pid: int) -> Iterator[KeptNamespace]:
    for entry in entries:
        kind, colon, rest = entry.root.partition(":")  # the root of such a mount is `uts:[4026532177]`
        if entry.type == "nsfs" and colon and kind in procfs.KINDS:
            yield KeptNamespace(kind, procfs.parse_ns_link(rest), entry.target, mnt, entry.id, pid)
