"""The namespaces of a lab: those its processes are in, and those that only a bind mount or an open fd keeps alive.

What never changes in the life of a namespace (parent, owner, a written id map, clock offsets) is remembered as long as
one holder is the same as the last time, since the kernel gives a dead namespace's number to the next one at once.
What can change (hostname, System V objects, links) is read anew each time, by visit.py. See namespaces(7), ioctl_ns(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from engine.linux import nsfs, procfs
from engine.linux.idmap import IdMap, to_container
from engine.observe import visit
from engine.observe.model import LinkEntry, Namespace, Process
from engine.observe.mounts import KeptNamespace, opened

Key = tuple[str, int]
Lines = tuple[tuple[int, int, int], ...]

# Network namespaces read in one observation; the rest keeps what was read last and comes first the next time.
_NETS_EACH_TIME = 16
# Processes of a namespace that are remembered as its holders.
_HOLDERS = 4
# Processes whose open fds are looked through in one observation, and fds of each.
_FD_PROCESSES_EACH_TIME = 8
_FDS = 64


@dataclass(frozen=True, slots=True)
class _Holder:
    """What keeps a namespace: how to open it, and who it is (to know next time that it is the same namespace)."""

    by: str
    at: str | None
    identity: tuple[object, ...]
    path: str
    mount: KeptNamespace | None = None


@dataclass(slots=True)
class _Facts:
    """What of a namespace never changes once it is known."""

    identities: frozenset[tuple[object, ...]]
    parent: int | None = None
    owner: int | None = None
    uid_map: tuple[IdMap, ...] = ()
    gid_map: tuple[IdMap, ...] = ()
    time_offsets: Mapping[str, int] | None = None
    known: bool = field(default=False)


class NamespaceReader:
    """Remembers what need not be read again between observations of one lab. For one thread at a time."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._facts: dict[Key, _Facts] = {}
        self._links: dict[int, tuple[LinkEntry, ...]] = {}
        self._links_read: dict[int, int] = {}
        self._round = 0
        self._fds: dict[tuple[int, int], list[tuple[Key, int]]] = {}

    def read(
        self,
        processes: list[Process],
        init_ns: Mapping[str, int],
        mounted: Iterable[KeptNamespace],
        lab_map: tuple[IdMap, ...],
    ) -> tuple[tuple[Namespace, ...], dict[int, tuple[LinkEntry, ...]], bool]:
        """All namespaces, the links of the network ones, and whether a list of links was cut.

        To be called in a thread that ends afterwards: it is left in other namespaces.
        """
        self._round += 1
        members = _members(processes)
        holders = self._holders(processes, members, mounted)
        self._learn(holders)
        changing = self._visit(holders)
        namespaces = [
            self._namespace(key, members.get(key, ()), holder, init_ns, changing, lab_map)
            for key, holder in holders.items()
        ]
        order = {kind: number for number, kind in enumerate(procfs.KINDS)}
        namespaces.sort(key=lambda ns: (order[ns.kind], not ns.of_lab, ns.inode))
        return tuple(namespaces), dict(self._links), changing.truncated

    # --- who keeps what

    def _holders(
        self, processes: list[Process], members: Mapping[Key, list[Process]], mounted: Iterable[KeptNamespace]
    ) -> dict[Key, list[_Holder]]:
        holders: dict[Key, list[_Holder]] = {}
        for key, inside in members.items():
            holders[key] = [
                _Holder("process", None, (process.pid, process.start), f"{self._proc}/{process.pid}/ns/{key[0]}")
                for process in inside[:_HOLDERS]
            ]
        for process in processes:
            # A pid namespace whose first process is gone stays with the shell that asked for it, and is of no use.
            if process.children_pid_ns and ("pid", process.children_pid_ns) not in members:
                at = f"{process.pid}/ns/pid_for_children"
                holder = _Holder("process", at, (process.pid, process.start, "children"), f"{self._proc}/{at}")
                holders.setdefault(("pid", process.children_pid_ns), []).append(holder)
        for kept in mounted:
            if (kept.kind, kept.inode) not in holders:
                identity = ("mount", kept.mnt, kept.mount_id)
                holders[kept.kind, kept.inode] = [_Holder("mount", kept.target, identity, "", kept)]
        for (pid, start), found in self._scan_fds(processes).items():
            for key, fd in found:
                if key not in holders:
                    holders[key] = [_Holder("fd", f"{pid}/{fd}", (pid, start, fd), f"{self._proc}/{pid}/fd/{fd}")]
        return holders

    def _scan_fds(self, processes: list[Process]) -> dict[tuple[int, int], list[tuple[Key, int]]]:
        """Namespaces open in processes. Those never looked at come first, then those not looked at for longest."""
        alive = {(process.pid, process.start) for process in processes}
        known = {who: found for who, found in self._fds.items() if who in alive}
        fresh = sorted(alive - known.keys(), reverse=True)
        for who in [*fresh, *known][:_FD_PROCESSES_EACH_TIME]:
            known.pop(who, None)  # to the end of the queue
            known[who] = list(_namespace_fds(who[0], self._proc))
        self._fds = known
        return known

    # --- what never changes

    def _learn(self, holders: Mapping[Key, list[_Holder]]) -> None:
        facts: dict[Key, _Facts] = {}
        for key, keeping in holders.items():
            identities = frozenset(holder.identity for holder in keeping)
            before = self._facts.get(key)
            same = before is not None and bool(before.identities & identities)
            facts[key] = before if same and before is not None else _Facts(identities)
            facts[key].identities = identities
            self._complete(key, facts[key], keeping)
        self._facts = facts

    def _complete(self, key: Key, facts: _Facts, keeping: list[_Holder]) -> None:
        kind, inode = key
        if not facts.known:
            with self._open(keeping, inode) as fd:
                if fd is None:
                    return
                facts.owner = nsfs.owner(fd)
                facts.parent = nsfs.parent(fd) if kind in ("pid", "user") else None
                facts.known = True
        inside = next((holder for holder in keeping if holder.by == "process" and holder.at is None), None)
        if inside is None:
            return
        pid = int(str(inside.identity[0]))
        try:
            if kind == "user" and not (facts.uid_map and facts.gid_map):
                facts.uid_map, facts.gid_map = procfs.uid_map(pid, self._proc), procfs.gid_map(pid, self._proc)
            elif kind == "time" and facts.time_offsets is None:
                facts.time_offsets = procfs.timens_offsets(pid, self._proc)
        except procfs.Gone:
            return

    @contextmanager
    def _open(self, keeping: list[_Holder], inode: int) -> Iterator[int | None]:
        """An fd on the namespace through the first holder that still has it, None if none does."""
        with ExitStack() as stack:
            found: int | None = None
            for holder in keeping[:_HOLDERS]:
                try:
                    path = holder.path
                    if holder.mount is not None:
                        kept = holder.mount
                        fd = stack.enter_context(opened(kept.pid, kept.target, kept.mount_id, self._proc))
                        path = f"/proc/self/fd/{fd}"
                    elif holder.by == "fd" and not os.readlink(path).startswith(procfs.KINDS):
                        continue  # the number belongs to another file by now, which is not ours to open
                    candidate = stack.enter_context(nsfs.opened(path))
                except OSError:
                    continue
                if nsfs.inode(candidate) == inode:
                    found = candidate
                    break
            yield found

    # --- what changes

    def _visit(self, holders: Mapping[Key, list[_Holder]]) -> _Changing:
        changing = _Changing()
        for (kind, inode), keeping in holders.items():
            if kind not in ("uts", "ipc"):
                continue
            with self._open(keeping, inode) as fd:
                if fd is not None and kind == "uts":
                    changing.hostnames[inode] = visit.hostname(fd)
                elif fd is not None:
                    changing.ipc[inode] = visit.ipc_objects(fd)
        nets = {inode: keeping for (kind, inode), keeping in holders.items() if kind == "net"}
        reader = visit.LinkReader()
        for inode in sorted(nets, key=lambda inode: self._links_read.get(inode, 0))[:_NETS_EACH_TIME]:
            with self._open(nets[inode], inode) as fd:
                if fd is not None:
                    reader.read(inode, fd)
                    self._links_read[inode] = self._round
        self._links = {inode: links for inode, links in {**self._links, **reader.result()}.items() if inode in nets}
        self._links_read = {inode: when for inode, when in self._links_read.items() if inode in nets}
        changing.truncated = reader.truncated
        return changing

    # --- put together

    def _namespace(
        self,
        key: Key,
        members: Iterable[Process],
        keeping: list[_Holder],
        init_ns: Mapping[str, int],
        changing: _Changing,
        lab_map: tuple[IdMap, ...],
    ) -> Namespace:
        kind, inode = key
        facts = self._facts[key]
        uid_map, gid_map = self._maps(facts, lab_map) if kind == "user" and facts.known else (None, None)
        return Namespace(
            kind=kind,
            inode=inode,
            parent=facts.parent,
            owner=facts.owner,
            processes=tuple(process.pid for process in members),
            kept_by=keeping[0].by,
            of_lab=init_ns.get(kind) == inode,
            kept_at=keeping[0].at,
            hostname=changing.hostnames.get(inode) if kind == "uts" else None,
            uid_map=uid_map,
            gid_map=gid_map,
            time_offsets=facts.time_offsets,
            ipc=changing.ipc.get(inode) if kind == "ipc" else None,
        )

    def _maps(self, facts: _Facts, lab_map: tuple[IdMap, ...]) -> tuple[Lines, Lines]:
        """The maps as the parent namespace reads them: what the learner wrote, and what `cat uid_map` shows him."""
        above = self._facts.get(("user", facts.parent or 0))
        # The lab's own parent is the engine's and maps the same block; nobody in the lab can see further up.
        uids = above.uid_map if above is not None else lab_map
        gids = above.gid_map if above is not None else lab_map
        return relative_lines(facts.uid_map, uids), relative_lines(facts.gid_map, gids)


@dataclass(slots=True)
class _Changing:
    hostnames: dict[int, str | None] = field(default_factory=dict)
    ipc: dict[int, dict[str, int] | None] = field(default_factory=dict)
    truncated: bool = False


def _members(processes: Iterable[Process]) -> dict[Key, list[Process]]:
    members: dict[Key, list[Process]] = {}
    for process in processes:
        for kind, inode in process.ns.items():
            members.setdefault((kind, inode), []).append(process)
    return members


def relative_lines(lines: Iterable[IdMap], above: tuple[IdMap, ...]) -> Lines:
    """Lines with host ids turned into lines with the ids of the namespace above."""
    found = []
    for line in lines:
        outside = to_container(above, line.host_id)
        found.append((line.container_id, line.host_id if outside is None else outside, line.size))
    return tuple(found)


def _namespace_fds(pid: int, proc: str) -> Iterator[tuple[Key, int]]:
    try:
        names = os.listdir(f"{proc}/{pid}/fd")
    except OSError:
        return
    for name in names[:_FDS]:
        try:
            target = os.readlink(f"{proc}/{pid}/fd/{name}")
        except OSError:
            continue
        kind, colon, rest = target.partition(":[")
        if colon and kind in procfs.KINDS and rest[:-1].isdigit():
            yield (kind, int(rest[:-1])), int(name)
