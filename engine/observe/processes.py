"""The processes of a lab, read from /proc: those in its cgroup, so never a walk over all of the host's.

Costs about 0.06 ms for each: stat, status, cmdline and the links in ns/. See proc(5), namespaces(7).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.linux import cgroup_end, procfs
from engine.linux.idmap import IdMap, to_container
from engine.observe.model import MAX_GROUPS, MAX_PROCESSES, GroupEntry, LabView, Process, text

# Where an id has no counterpart, the kernel shows this one (/proc/sys/kernel/overflowuid).
_OVERFLOW_ID = 65534
# ioctl_tty(2); the termios module does not have it.
_TIOCGSID = 0x5429
# Looks between two reads of a process's status.
_STATUS_EVERY = 4
# argv shown to people; the rest of a long one is cut.
_ARGV_BYTES = 1024

#: The group of a process, and its groups on v1 by controller where they are others.
_Place = tuple[str, Mapping[str, str]]


def groups_of(view: LabView) -> tuple[list[GroupEntry], bool]:
    """The learner's groups with their processes, and whether there were more than are shown."""
    found: list[GroupEntry] = []
    for top in view.groups:
        for directory in cgroup_end.directories_below(top):
            if len(found) == MAX_GROUPS:
                return found, True
            relative = str(directory)[len(str(top)) :]
            found.append(GroupEntry(text(relative) or "/", tuple(cgroup_end.pids_of(directory))))
    return found, False


def sessions_of(terminals: Mapping[str, int]) -> dict[int, str]:
    """Session -> terminal. A session's number is the host's pid of its leader, whatever devpts the pty lies in."""
    sessions = {}
    for name, master in terminals.items():
        try:
            answer = fcntl.ioctl(master, _TIOCGSID, b"\0" * 4)
        except OSError:  # no session has it as its terminal (yet, or any more), or the fd was closed just now
            continue
        sessions[struct.unpack("i", answer)[0]] = name
    return sessions


class _Raw(NamedTuple):
    """What tells of a process; `children_pid_ns` as in Process."""

    stat: bytes
    cmdline: bytes
    ns: dict[str, int]
    children_pid_ns: int | None


@dataclass(slots=True)
class _Known:
    """A process as it was read last, what told of it, and how many looks its status holds."""

    raw: _Raw
    process: Process
    status: procfs.Status
    age: int


class ProcessReader:
    """Reads a lab's processes, and remembers what of them hardly ever changes. For one thread at a time.

    Most processes sleep: what reads the same, byte for byte, is not taken apart again. /proc/PID/status costs a third
    of all. What is used of it (pids inside, user, capabilities, seccomp) only changes together with argv, comm or
    namespaces, but for a program that gives up rights by itself: so it is read when one of those changed, and every few
    looks.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._engines_user_ns = procfs.namespaces(os.getpid())["user"]
        self._known: dict[int, _Known] = {}

    def read_all(
        self,
        groups: Iterable[GroupEntry],
        sessions: Mapping[int, str],
        lab_map: tuple[IdMap, ...],
        also: int,
        v1_places: Mapping[int, Mapping[str, str]] | None = None,
    ) -> tuple[list[Process], bool]:
        """All processes of these groups by pid, those that end meanwhile left out; and whether there were too many.

        Args:
            groups: as `groups_of` gives them.
            sessions: as `sessions_of` gives them.
            lab_map: the lab's uid map.
            also: a process to be shown even if it is in none of the groups: the lab's init.
            v1_places: host pid -> v1 controller -> group, of those that are not in the top one.
        """
        places = {pid: group.path for group in groups for pid in group.processes}
        places.setdefault(also, "/")
        wanted = sorted(places)[:MAX_PROCESSES]
        if also not in wanted:
            wanted.append(also)
        known: dict[int, _Known] = {}
        processes = []
        for pid in wanted:
            entry = self._read(pid, (places[pid], (v1_places or {}).get(pid, {})), sessions, lab_map)
            # On its way into the lab a new process is in its group already and still in the engine's namespaces: what
            # it sees (mounts, above all) is the machine's. It joins all of them at once (setns(2), with a pidfd).
            if entry is not None and entry.process.ns.get("user") != self._engines_user_ns:
                known[pid] = entry
                processes.append(entry.process)
        self._known = known
        return processes, len(places) > MAX_PROCESSES

    def _read(
        self,
        pid: int,
        place: _Place,
        sessions: Mapping[int, str],
        lab_map: tuple[IdMap, ...],
    ) -> _Known | None:
        """One process; None if it is no more. A zombie has no argv and only its user and pid namespace."""
        before = self._known.get(pid)
        try:
            raw = self._raw(pid)
            if before is not None and before.raw == raw and before.age > 0:
                before.process = _placed(before.process, place, sessions)
                before.age -= 1
                return before
            stat = procfs.parse_stat(raw.stat)
            argv = tuple(text(word) for word in procfs.parse_cmdline(raw.cmdline))
            if before is None or before.age == 0 or not _same_program(before.process, stat, argv, raw.ns):
                # The first age differs by pid, so that no later look reads the status of all.
                status = procfs.status(pid, self._proc)
                age = _STATUS_EVERY - 1 if before else pid % _STATUS_EVERY
            else:
                status, age = before.status, before.age - 1
        except procfs.Gone:
            return None
        return _Known(raw, _process(stat, argv, raw, status, place, sessions, lab_map), status, age)

    def _raw(self, pid: int) -> _Raw:
        folder = f"{self._proc}/{pid}"
        stat = procfs.read_page(f"{folder}/stat")
        cmdline = procfs.read_page(f"{folder}/cmdline", _ARGV_BYTES)
        ns = _namespaces(pid, self._proc)
        return _Raw(stat, cmdline, ns, _children_pid_ns(pid, ns, self._proc))


def _process(
    stat: procfs.Stat,
    argv: tuple[str, ...],
    raw: _Raw,
    status: procfs.Status,
    place: _Place,
    sessions: Mapping[int, str],
    lab_map: tuple[IdMap, ...],
) -> Process:
    host_uid = status.uids[1]
    uid = to_container(lab_map, host_uid)
    return Process(
        pid=stat.pid,
        nspid=status.nspid[1:] or status.nspid,
        ppid=stat.ppid,
        pgrp=stat.pgrp,
        session=stat.session,
        comm=text(stat.comm),
        argv=argv,
        state=stat.state,
        uid=_OVERFLOW_ID if uid is None else uid,
        host_uid=host_uid,
        start=stat.starttime,
        tty=sessions.get(stat.session),
        cgroup=place[0],
        ns=raw.ns,
        children_pid_ns=raw.children_pid_ns,
        seccomp=status.seccomp,
        cap_eff=status.cap_effective,
        cgroups=place[1],
        cpu_ticks=stat.cpu_ticks,
    )


def _placed(process: Process, place: _Place, sessions: Mapping[int, str]) -> Process:
    """The same process where it is now: its groups and its terminal stand in no file of its own."""
    tty = sessions.get(process.session)
    if (process.cgroup, process.cgroups, process.tty) == (*place, tty):
        return process
    return replace(process, cgroup=place[0], cgroups=place[1], tty=tty)


def _same_program(before: Process, stat: procfs.Stat, argv: tuple[str, ...], ns: Mapping[str, int]) -> bool:
    return (before.start, before.comm, before.argv, before.ns) == (stat.starttime, text(stat.comm), argv, ns)


def _namespaces(pid: int, proc: str) -> dict[str, int]:
    try:
        return procfs.namespaces(pid, proc)
    except PermissionError:
        # Only who holds a capability the engine lacks; no process of a lab does. Shown without namespaces.
        return {}


def _children_pid_ns(pid: int, ns: Mapping[str, int], proc: str) -> int | None:
    try:
        target = os.readlink(f"{proc}/{pid}/ns/pid_for_children")
    except FileNotFoundError:
        return 0 if "mnt" in ns else None  # a zombie has left all but its pid namespace
    except OSError:
        return None
    inode = procfs.parse_ns_link(target)
    return None if inode == ns.get("pid") else inode
