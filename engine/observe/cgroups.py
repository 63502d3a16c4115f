"""The learner's cgroups in every tree: who is in which, what they used, and which limits stopped them.

On v2 a group is one directory. On v1 each controller has a tree of its own, so "/box" may be there for pids and not for
memory, and a process is in one group for each. Here the directories of one path are one group, with its controllers.

The top group is given by the engine; only groups below it are asked for their members tree by tree, since whoever is in
none of them is in the top one. So a lab without groups costs little. See cgroups(7), cgroup-v2.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.linux import cgroup_end, cgroup_usage, procfs
from engine.linux.cgroup_usage import Usage
from engine.observe.model import MAX_GROUPS, GroupEntry, LabView, Process, text

#: Groups whose counters are read; further ones are listed without.
MAX_USAGE = 24

#: Looks between two readings of the top group's counters.
_TOP_EVERY = 4

#: v1's usual shares are v2's usual weight.
_SHARES, _WEIGHT = 1024, 100


@dataclass(frozen=True)
class Trees:
    """Where the learner's groups are.

    Attributes:
        groups: path below the learner's top group -> controller -> directory.
        places: host pid -> v1 controller -> path, for those not in the top group.
        members: path -> v1 controller -> host pids, of groups below the top.
    """

    groups: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    places: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    members: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    truncated: bool = False


def find(view: LabView, listed: Iterable[GroupEntry]) -> Trees:
    """Look for groups in the trees of all controllers.

    Args:
        view: with its trees.
        listed: the groups of the tree that lists processes, as `processes.groups_of` gives them.
    """
    groups: dict[str, dict[str, Path]] = {entry.path: {} for entry in listed}
    places: dict[int, dict[str, str]] = {}
    members: dict[str, dict[str, tuple[int, ...]]] = {}
    truncated = False
    for top, controllers in _by_directory(view.trees).items():
        if top == view.unified:
            for path, found in groups.items():
                found.update(dict.fromkeys(controllers, _join(top, path)))
            continue
        groups.setdefault("/", {}).update(dict.fromkeys(controllers, top))
        for directory in _below(top):
            path = text(str(directory)[len(str(top)) :])
            if path not in groups and len(groups) == MAX_GROUPS:
                truncated = True
                break
            groups.setdefault(path, {}).update(dict.fromkeys(controllers, directory))
            pids = tuple(cgroup_end.pids_of(directory))
            members.setdefault(path, {}).update(dict.fromkeys(controllers, pids))
            for pid in pids:
                places.setdefault(pid, {}).update(dict.fromkeys(controllers, path))
    return Trees(groups, places, members, truncated)


@dataclass(frozen=True, slots=True)
class _Counters:
    usage: Usage = field(default_factory=Usage)
    cpu_weight: int | None = None
    frozen: bool | None = None
    io: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    at: float = 0.0


_NOTHING = _Counters()


class GroupReader:
    """Reads what groups used. Remembers the top group's counters for some looks: no check waits for those."""

    def __init__(self) -> None:
        self._top: _Counters | None = None
        self._age = 0

    def entries(
        self, view: LabView, trees: Trees, listed: Iterable[GroupEntry], processes: Iterable[Process]
    ) -> tuple[GroupEntry, ...]:
        """The groups with what they used, by path; CPU time comes from the processes right in each."""
        right_in = {entry.path: entry.processes for entry in listed}
        spent: dict[str, int] = {}
        for process in processes:
            path = process.cgroups.get("cpu", "/") if "cpu" in view.v1 else process.cgroup
            spent[path] = spent.get(path, 0) + process.cpu_ticks
        found = []
        for index, (path, directories) in enumerate(sorted(trees.groups.items())):
            counters = _NOTHING if index >= MAX_USAGE else self._counters(view, path, directories)
            found.append(
                GroupEntry(
                    path,
                    right_in.get(path, ()),
                    tuple(sorted(directories)),
                    trees.members.get(path, {}),
                    counters.usage,
                    counters.cpu_weight,
                    spent.get(path, 0),
                    counters.frozen,
                    counters.io,
                    counters.at,
                )
            )
        return tuple(found)

    def _counters(self, view: LabView, path: str, directories: Mapping[str, Path]) -> _Counters:
        if path != "/":
            return _read_counters(view, path, directories)
        self._age -= 1
        if self._top is None or self._age < 0:
            self._top, self._age = _read_counters(view, path, directories), _TOP_EVERY - 1
        return self._top


def _read_counters(view: LabView, path: str, directories: Mapping[str, Path]) -> _Counters:
    v1 = {name: directory for name, directory in directories.items() if name in view.v1}
    unified = _join(view.unified, path) if view.unified else None
    return _Counters(
        cgroup_usage.usage_v1(v1) if v1 or not unified else cgroup_usage.usage_v2(unified),
        _weight(directories.get("cpu"), "cpu" in view.v1),
        _frozen(v1.get("freezer"), unified),
        _io_v1(v1["blkio"]) if "blkio" in v1 else _io_v2(directories.get("io")),
        time.time(),
    )


def _by_directory(trees: Mapping[str, Path]) -> dict[Path, list[str]]:
    """Controllers mounted together (cpu,cpuacct) share one directory."""
    found: dict[Path, list[str]] = {}
    for controller, top in trees.items():
        found.setdefault(top, []).append(controller)
    return found


def _below(top: Path) -> Iterator[Path]:
    """The groups below one, each before what it contains. A directory with two links has no directories in it."""
    waiting = [top]
    while waiting:
        directory = waiting.pop(0)
        try:
            if os.stat(directory).st_nlink == 2:
                continue
            with os.scandir(directory) as found:
                inner = sorted(Path(one.path) for one in found if one.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
        waiting += inner
        yield from inner


def _join(top: Path, path: str) -> Path:
    return top / path.lstrip("/")


def _weight(directory: Path | None, on_v1: bool) -> int | None:
    """In v2's numbers, 100 being usual."""
    if directory is None:
        return None
    raw = _read(directory / ("cpu.shares" if on_v1 else "cpu.weight")).strip()
    if not raw.isdigit():
        return None
    return round(int(raw) * _WEIGHT / _SHARES) if on_v1 else int(raw)


def _frozen(freezer: Path | None, unified: Path | None) -> bool | None:
    """By the v1 freezer tree, or by v2's own file, which a hybrid host has as well."""
    if freezer is not None and _read(freezer / "freezer.state").strip() == "FROZEN":
        return True
    events = _read(unified / "cgroup.events") if unified else ""
    if not events:
        return None if freezer is None else False
    return "frozen 1" in events


def _io_v1(directory: Path) -> dict[str, dict[str, int]]:
    """device -> rbps, wbps (limits) and read, written (bytes so far)."""
    found: dict[str, dict[str, int]] = {}
    for name, file in (("rbps", "blkio.throttle.read_bps_device"), ("wbps", "blkio.throttle.write_bps_device")):
        for line in _read(directory / file).splitlines():
            device, _, value = line.partition(" ")
            found.setdefault(device, {})[name] = int(value)
    for line in _read(directory / "blkio.throttle.io_service_bytes").splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in ("Read", "Write"):
            found.setdefault(words[0], {})["read" if words[1] == "Read" else "written"] = int(words[2])
    return found


def _io_v2(directory: Path | None) -> dict[str, dict[str, int]]:
    if directory is None:
        return {}
    found: dict[str, dict[str, int]] = {}
    names = {"rbytes": "read", "wbytes": "written", "rbps": "rbps", "wbps": "wbps"}
    for file in ("io.max", "io.stat"):
        for line in _read(directory / file).splitlines():
            device, *pairs = line.split()
            for pair in pairs:
                name, _, value = pair.partition("=")
                if name in names and value.isdigit():
                    found.setdefault(device, {})[names[name]] = int(value)
    return found


def _read(path: Path) -> str:
    try:
        return procfs.read(str(path)).decode("ascii", "replace")
    except OSError:
        return ""  # ENOENT: this kernel has no such file; ENODEV: the group is being removed
