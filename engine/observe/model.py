"""What an observation is made of: frozen values that become JSON by `to_dict`.

Numbers of processes are the host's unless a name says otherwise, namespaces are known by their inode (the number in
`uts:[4026531838]`), times are seconds. "Lab" is the machine a learner sits at; "own" namespaces are those the learner
made. This module reads nothing: processes.py, mounts.py, namespaces.py and visit.py do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.linux.cgroup_usage import Usage
from engine.observe.layers import Layers

#: Cut off at these counts, with the word in Observation.truncated, so that no learner can make an observation costly.
MAX_PROCESSES = 256
MAX_MOUNTS = 400
MAX_LINKS = 64
MAX_GROUPS = 128

#: So much CPU time (in ticks, half a second) and so many bytes written by a group make a new revision.
_TICKS_TOLD = 50
_BYTES_TOLD = 1 << 20

Json = dict[str, Any]


@dataclass(frozen=True)
class LabView:
    """What the engine must say of a lab so that it can be observed.

    Attributes:
        lab: its id.
        init_pid: host pid of its init, whose namespaces are the lab's own.
        groups: directories of the learner's cgroup (payload, without the engine's helpers) in one tree; see
            Group.processes_path.
        terminals: name -> fd of the pty's master.
        trees: controller -> the learner's top group where it is at work.
        v1: those of them that cgroup v1 has.
        unified: his top group in the v2 tree, None without one.
    """

    lab: str
    init_pid: int
    groups: tuple[Path, ...]
    terminals: Mapping[str, int] = field(default_factory=dict)
    trees: Mapping[str, Path] = field(default_factory=dict)
    v1: frozenset[str] = frozenset()
    unified: Path | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a lab.

    Attributes:
        nspid: its pid in each pid namespace from the lab's inwards; the last is what it calls itself.
        uid: in the lab's user namespace (65534 where it has none there).
        start: clock ticks since boot; with pid it names a process for good.
        tty: the lab's terminal its session belongs to.
        cgroup: below the learner's group: "/" or "/box".
        cgroups: v1 controller -> the same in its tree, where that is not "/".
        cpu_ticks: CPU time so far, in clock ticks.
        ns: kind -> inode.
        children_pid_ns: the pid namespace its next child will be in, where that is not its own (`unshare -p` without
            --fork); 0 while that namespace has had no process yet.
        seccomp: 0 none, 1 strict, 2 filter.
    """

    pid: int
    nspid: tuple[int, ...]
    ppid: int
    pgrp: int
    session: int
    comm: str
    argv: tuple[str, ...]
    state: str = field(compare=False)
    uid: int
    host_uid: int
    start: int
    tty: str | None
    cgroup: str
    ns: Mapping[str, int]
    children_pid_ns: int | None
    seccomp: int
    cap_eff: int
    cgroups: Mapping[str, str] = field(default_factory=dict)
    cpu_ticks: int = field(default=0, compare=False)

    def to_dict(self) -> Json:
        return {
            "pid": self.pid,
            "nspid": list(self.nspid),
            "ppid": self.ppid,
            "comm": self.comm,
            "argv": list(self.argv),
            "state": self.state,
            "uid": self.uid,
            "host_uid": self.host_uid,
            "start": self.start,
            "tty": {"terminal": self.tty} if self.tty else None,
            "cgroup": self.cgroup,
            "cgroups": dict(self.cgroups),
            "ns": dict(self.ns),
            "children_pid_ns": self.children_pid_ns,
            "seccomp": self.seccomp,
            "cap_eff": self.cap_eff,
        }


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of a lab.

    Attributes:
        parent: of a pid or user namespace; None where it lies outside the lab.
        owner: the user namespace that owns it; None where that is outside.
        processes: who is in it.
        kept_by: "process", or "mount" or "fd" when only a bind mount or an open fd keeps it.
        kept_at: the mount's target, or "PID/FD", for those.
        of_lab: it is one of the lab's own, not made by the learner.
        hostname: of a uts namespace.
        uid_map, gid_map: of a user namespace, as read by its parent: (inside, outside, count); empty while not written.
        time_offsets: of a time namespace: clock -> seconds.
        ipc: of an ipc namespace: how many System V queues, segments and semaphore sets it holds.
    """

    kind: str
    inode: int
    parent: int | None
    owner: int | None
    processes: tuple[int, ...]
    kept_by: str
    of_lab: bool
    kept_at: str | None = None
    hostname: str | None = None
    uid_map: tuple[tuple[int, int, int], ...] | None = None
    gid_map: tuple[tuple[int, int, int], ...] | None = None
    time_offsets: Mapping[str, int] | None = None
    ipc: Mapping[str, int] | None = None

    def to_dict(self) -> Json:
        told: Json = {
            "kind": self.kind,
            "inode": self.inode,
            "parent": self.parent,
            "owner": self.owner,
            "processes": list(self.processes),
            "kept_by": self.kept_by,
            "of_lab": self.of_lab,
        }
        if self.kept_at is not None:
            told["kept_at"] = self.kept_at
        if self.hostname is not None:
            told["hostname"] = self.hostname
        for name, lines in (("uid_map", self.uid_map), ("gid_map", self.gid_map)):
            if lines is not None:
                told[name] = [list(line) for line in lines]
        if self.time_offsets is not None:
            told["time_offsets"] = dict(self.time_offsets)
        if self.ipc is not None:
            told["ipc"] = dict(self.ipc)
        return told


@dataclass(frozen=True, slots=True)
class MountEntry:
    """A line of a mount table, targets as its namespace's first process sees them.

    Attributes:
        device: "major:minor"; two mounts of one file system have the same.
        pid_ns: of a proc mount that can be reached: the pid namespace it shows.
    """

    id: int
    parent: int
    device: str
    root: str
    target: str
    type: str
    source: str
    options: tuple[str, ...]
    super: tuple[str, ...]
    shared: int | None
    master: int | None
    pid_ns: int | None = None

    def to_dict(self) -> Json:
        peers = {"shared": self.shared, "master": self.master}
        told: Json = {
            "id": self.id,
            "parent": self.parent,
            "device": self.device,
            "root": self.root,
            "target": self.target,
            "type": self.type,
            "source": self.source,
            "options": list(self.options),
            "super": list(self.super),
            "propagation": {name: group for name, group in peers.items() if group is not None},
        }
        if self.pid_ns is not None:
            told["pid_ns"] = self.pid_ns
        return told


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A network link. `peer` is the other end of a veth, where that lies in the lab: (net inode, name)."""

    name: str
    kind: str
    up: bool
    addresses: tuple[str, ...]
    master: str | None
    peer: tuple[int, str] | None = None

    def to_dict(self) -> Json:
        return {
            "name": self.name,
            "kind": self.kind,
            "up": self.up,
            "addresses": list(self.addresses),
            "master": self.master,
            "peer": {"net": self.peer[0], "name": self.peer[1]} if self.peer else None,
        }


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A cgroup of the learner's: its directories of one path below his top group, in all trees.

    Attributes:
        path: "/" or "/box".
        processes: host pids right in it, in the tree that lists all (v2 where there is one).
        controllers: those it has a directory for.
        members: v1 controller -> host pids right in it; not for "/", where whoever is elsewhere nowhere is.
        usage: counters and limits.
        cpu_weight: in v2's numbers, 100 being usual.
        cpu_ticks: CPU time of the processes right in it, in clock ticks.
        frozen: None where nothing can freeze it.
        io: "major:minor" -> rbps, wbps (limits, where set), read, written (bytes so far).
        at: when the counters were read, in seconds since the epoch; 0 where they were not.
        notable: what of these is worth a new revision: limits and events, not every byte.
    """

    path: str
    processes: tuple[int, ...]
    controllers: tuple[str, ...] = ()
    members: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    usage: Usage = field(default=Usage(), compare=False)
    cpu_weight: int | None = None
    cpu_ticks: int = field(default=0, compare=False)
    frozen: bool | None = None
    io: Mapping[str, Mapping[str, int]] = field(default_factory=dict, compare=False)
    at: float = field(default=0.0, compare=False)
    notable: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        used = self.usage
        limits = [(one.get("rbps"), one.get("wbps")) for one in self.io.values()]
        told: tuple[Any, ...] = (used.memory_limit_bytes, used.cpu_quota_us, used.pids_limit, used.oom_kills)
        told += (bool(used.throttled_periods), bool(used.pids_refused), limits)
        if self.path != "/":  # a lab's own work is no news; in a group it is what a lesson waits for
            written = sum(one.get("written", 0) for one in self.io.values())
            told += (self.cpu_ticks // _TICKS_TOLD, written // _BYTES_TOLD)
        object.__setattr__(self, "notable", told)

    def to_dict(self) -> Json:
        return {
            "path": self.path,
            "processes": list(self.processes),
            "controllers": list(self.controllers),
            "members": {name: list(pids) for name, pids in self.members.items()},
            "cpu_ticks": self.cpu_ticks,
            **self.counters(),
        }

    @property
    def count(self) -> int:
        """How many processes are right in it; on v1, in that of its trees which has the most."""
        return max(len(self.processes), *(len(pids) for pids in self.members.values()), 0)

    def counters(self) -> Json:
        """What it used, its limits, and when that was read: the part that changes all the time."""
        return {
            "usage": self.usage.to_dict(),
            "cpu_weight": self.cpu_weight,
            "frozen": self.frozen,
            "io": {device: dict(counts) for device, counts in self.io.items()},
            "at": self.at,
        }


@dataclass(frozen=True, slots=True)
class Observation:
    """A lab as it was at one moment (nearly: it is read piece by piece, within some milliseconds).

    Attributes:
        revision: grows by one whenever something changed but for states and times.
        at: when, in seconds since the epoch.
        init_ns: kind -> inode of the lab's own namespaces.
        controllers: name -> "v1" or "v2": what the learner's groups can limit, and in which kernel's words.
        mounts, links: by the inode of the mount and of the network namespace.
        layers: its union file systems and what lies in their layers.
        truncated: which lists were cut at their bound: "processes", "mounts", "links", "cgroups", "namespaces",
            "layers".
    """

    lab: str
    revision: int
    at: float
    init_pid: int
    init_ns: Mapping[str, int]
    processes: tuple[Process, ...]
    namespaces: tuple[Namespace, ...]
    mounts: Mapping[int, tuple[MountEntry, ...]]
    links: Mapping[int, tuple[LinkEntry, ...]]
    cgroups: tuple[GroupEntry, ...]
    truncated: tuple[str, ...] = ()
    controllers: Mapping[str, str] = field(default_factory=dict)
    layers: Layers = field(default_factory=Layers)

    def same_as(self, other: Observation) -> bool:
        """Whether nothing changed between two observations of a lab."""
        mine, theirs = (
            (one.init_ns, one.processes, one.namespaces, one.mounts, one.links, one.cgroups, one.layers, one.truncated)
            for one in (self, other)
        )
        return mine == theirs

    def namespace(self, kind: str, inode: int) -> Namespace | None:
        """The namespace of this kind and number."""
        return next((ns for ns in self.namespaces if ns.inode == inode and ns.kind == kind), None)

    def to_dict(self) -> Json:
        return {
            "lab": self.lab,
            "revision": self.revision,
            "at": self.at,
            "init": {"pid": self.init_pid, "ns": dict(self.init_ns)},
            "processes": [process.to_dict() for process in self.processes],
            "namespaces": [namespace.to_dict() for namespace in self.namespaces],
            # JSON has no keys but strings.
            "mounts": {str(inode): [mount.to_dict() for mount in table] for inode, table in self.mounts.items()},
            "links": {str(inode): [link.to_dict() for link in table] for inode, table in self.links.items()},
            "cgroups": [group.to_dict() for group in self.cgroups],
            "controllers": dict(self.controllers),
            "layers": self.layers.to_dict(),
            "truncated": list(self.truncated),
        }


def text(raw: str) -> str:
    """Text as it can travel: bytes that are no UTF-8 (kept as surrogates by procfs) become \\xNN."""
    try:
        raw.encode()
    except UnicodeEncodeError:
        return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return raw
