"""Where am I? Which namespaces the foreground process of a terminal is in, as the way from the lab to it.

TIOCGPGRP on a pty's master gives the foreground process group by the host's numbers, however deep its namespaces. With
`unshare --fork` the group's leader stays outside, so the deepest of the group counts. Programs that hold a pty of their
own between the terminal and the shell (script(1)) are followed through their master, borrowed by pidfd_getfd(2) for one
ioctl. See ioctl_tty(2), tcgetpgrp(3).
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.linux import procfs, syscalls
from engine.observe.model import Observation, Process

# script in script in script is far enough.
_PTY_DEPTH = 4
_FDS = 64

#: What to name a place by when several kinds changed at once: what a learner notices first comes first.
_PROMINENT = ("pid", "user", "mnt", "net", "uts", "ipc", "cgroup", "time")


@dataclass(frozen=True, slots=True)
class Place:
    """One step of the way: the first process that is in other namespaces than the step before.

    Attributes:
        label: "lab" for the lab host itself, else the hostname if its uts namespace is another, else the program.
        pid: host pid; nspid: what it calls itself.
        differs: the kinds that are others than at the step before.
    """

    label: str
    pid: int
    nspid: int
    comm: str
    hostname: str | None
    differs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "pid": self.pid,
            "nspid": self.nspid,
            "comm": self.comm,
            "hostname": self.hostname,
            "differs": list(self.differs),
        }


@dataclass(frozen=True, slots=True)
class Where:
    """Where a terminal's foreground process is.

    Attributes:
        path: from the lab inwards; one place when it is on the lab host.
        innermost: the most prominent kind of the last step, None on the lab host.
        foreground: the process itself.
        readable: False when nothing could be found out: the terminal is closed, or its program just ended.
    """

    terminal: str
    path: tuple[Place, ...] = ()
    innermost: str | None = None
    foreground: Process | None = None
    readable: bool = False

    def to_dict(self) -> dict[str, Any]:
        process = self.foreground
        return {
            "terminal": self.terminal,
            "path": [place.to_dict() for place in self.path],
            "innermost": self.innermost,
            "foreground": {
                "pid": process.pid,
                "nspid": list(process.nspid),
                "comm": process.comm,
                "argv": list(process.argv),
            }
            if process
            else None,
            "readable": self.readable,
        }


def where_is(observation: Observation, terminal: str, master: int) -> Where:
    """Where the foreground process of the terminal with this pty master is, going by an observation just made."""
    by_pid = {process.pid: process for process in observation.processes}
    process = _foreground(observation, by_pid, master)
    if process is None or not process.ns:
        return Where(terminal)
    path = _path(observation, _ancestry(process, by_pid, observation.init_pid))
    innermost = next((kind for kind in _PROMINENT if kind in path[-1].differs), None)
    return Where(terminal, path, innermost, process, readable=True)


def _foreground(observation: Observation, by_pid: Mapping[int, Process], master: int) -> Process | None:
    found: Process | None = None
    group = _foreground_group(master)
    for _ in range(_PTY_DEPTH):
        inner = [process for process in observation.processes if process.pgrp == group and process.state != "Z"]
        if not inner:
            return found
        found = max(inner, key=lambda process: _depth(process, by_pid))
        group = _group_behind(found.pid)
        if group is None:
            return found
    return found


def _depth(process: Process, by_pid: Mapping[int, Process]) -> tuple[int, int, int]:
    """Deeper in pid namespaces, then in the family, then younger."""
    generation, at = 0, process
    while at.ppid in by_pid and generation < len(by_pid):
        generation, at = generation + 1, by_pid[at.ppid]
    return len(process.nspid), generation, process.start


def _foreground_group(master: int) -> int | None:
    try:
        (group,) = struct.unpack("i", fcntl.ioctl(master, termios.TIOCGPGRP, b"\0" * 4))
    except OSError:
        return None
    return int(group) or None


def _group_behind(pid: int) -> int | None:
    """The foreground group of a pty whose master this process holds, None if it holds none."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")[:_FDS]
    except OSError:
        return None
    for name in names:
        try:
            if not os.readlink(f"/proc/{pid}/fd/{name}").endswith(("/ptmx", "/pts/ptmx")):
                continue
            pidfd = syscalls.pidfd_open(pid)
            try:
                borrowed = syscalls.pidfd_getfd(pidfd, int(name))
            finally:
                os.close(pidfd)
        except OSError:
            continue
        try:
            return _foreground_group(borrowed)
        finally:
            os.close(borrowed)
    return None


def _ancestry(process: Process, by_pid: Mapping[int, Process], init_pid: int) -> list[Process]:
    """From the first process below init to this one; an orphan's way begins with itself."""
    line = [process]
    while line[-1].ppid in by_pid and line[-1].ppid != init_pid and len(line) <= len(by_pid):
        line.append(by_pid[line[-1].ppid])
    return line[::-1]


def _path(observation: Observation, line: list[Process]) -> tuple[Place, ...]:
    here: Mapping[str, int] = observation.init_ns
    path = [_lab(observation, line[0])]
    for process in line:
        if not process.ns:
            continue
        differs = tuple(kind for kind in procfs.KINDS if process.ns.get(kind) != here.get(kind))
        if not differs:
            continue
        here = process.ns
        back_home = all(process.ns.get(kind) == inode for kind, inode in observation.init_ns.items())
        if back_home:  # nsenter from inside a box to the lab host's init
            path = path[:1]
            continue
        hostname = _hostname(observation, here)
        renamed = process.ns.get("uts") != observation.init_ns.get("uts")
        label = hostname if renamed and hostname else process.comm
        path.append(Place(label, process.pid, process.nspid[-1], process.comm, hostname, differs))
    return tuple(path)


def _lab(observation: Observation, first: Process) -> Place:
    """The lab host, by the shell the way begins with; by its init for an orphan, whose way begins elsewhere."""
    hostname = _hostname(observation, observation.init_ns)
    if first.ns == observation.init_ns:
        return Place("lab", first.pid, first.nspid[-1], first.comm, hostname, ())
    return Place("lab", observation.init_pid, 1, "init", hostname, ())


def _hostname(observation: Observation, ns: Mapping[str, int]) -> str | None:
    found = observation.namespace("uts", ns.get("uts", 0))
    return found.hostname if found else None
