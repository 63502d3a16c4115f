"""Finds the unions in a lab's mount tables and reads their layers: `LayerReader.read` gives the Layers.

The kernel names the layers of an overlay in the mount table, those of its AUFS in /sys/fs/aufs; our AUFS in user space
tells its own (aufs_fuse/state.py). The paths are the mounter's: they are opened below the root of the mount namespace
the union was found in, or below the lab's own (a container's layers are not in its own tree), never below ours
(openat2(2), RESOLVE_IN_ROOT). A path that leads nowhere there is a layer without a tree. See proc(5), overlayfs.rst.
"""

from __future__ import annotations

import functools
import math
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from engine.linux import procfs, syscalls
from engine.observe.layer_tree import TreeReader
from engine.observe.layers import DRIVERS, Change, Layer, LayerFile, Layers, Tree, Union, branch_layers, overlay_layers
from engine.observe.model import MountEntry, Process, text
from engine.storage import whiteouts
from engine.storage.aufs_fuse import state
from engine.storage.aufs_fuse.state import State

MAX_UNIONS = 32
#: Layers read of one union, and files told of a whole lab.
MAX_LAYERS = 128
MAX_FILES = 2500
#: What one look may cost, whatever a learner has mounted. Past it, layers are left unread and `read` says so; what was
#: cut for want of time is tried again after AGAIN_S.
LOOK_S = 0.5
MAX_READ = 4 * MAX_FILES
MAX_PATH_BYTES = 1024 * 1024
AGAIN_S = 10.0

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS

Tables = Mapping[int, tuple[MountEntry, ...]]


class _Budget:
    """What is left of a look."""

    def __init__(self) -> None:
        self.until = time.monotonic() + LOOK_S
        self.changes, self.files, self.path_bytes = MAX_FILES, MAX_READ, MAX_PATH_BYTES
        self.cut = False

    def over(self) -> bool:
        """Whether nothing more may be read."""
        self.cut = self.cut or self.files < 0 or self.path_bytes < 0 or time.monotonic() > self.until
        return self.cut

    def took(self, tree: Tree) -> None:
        """A tree has been read."""
        self.files -= len(tree.files)
        self.path_bytes -= sum(len(file.path) for file in tree.files)

    def some(self, changes: Iterator[Change]) -> tuple[Change, ...]:
        """As many of these as there is room and time for."""
        found: list[Change] = []
        for change in changes:
            if self.changes <= 0 or self.over():
                self.cut = True
                break
            found.append(change)
            self.changes -= 1
        return tuple(found)


@dataclass
class _Open:
    """A layer that is being looked at: its fd, or None."""

    layer: Layer
    fd: int | None
    tree: Tree | None


class LayerReader:
    """Remembers what lies in the layers of one lab between observations. For one thread at a time."""

    def __init__(self, proc: str = "/proc", sysfs: str = "/sys") -> None:
        self._proc, self._sys = proc, sysfs
        self._readers: dict[str, TreeReader] = {}
        self._told: dict[int, str] = {}
        self._served: list[tuple[int, State]] = []
        self._before: dict[str, tuple[tuple[Tree | None, ...], Union, float]] = {}
        self._budget = _Budget()

    def read(self, tables: Tables, processes: Iterable[Process], init_pid: int, lab_mnt: int) -> tuple[Layers, bool]:
        """The unions in these mount tables, and whether there are more than are told.

        Args:
            processes: of the lab; one in a mount namespace lends its root.
            init_pid: whose root the lab's own paths begin at.
            lab_mnt: inode of the lab's own mount namespace.
        """
        found, more = _unions(tables, lab_mnt)
        self._budget = _Budget()
        self._served = self._states(processes)
        lenders = {process.ns.get("mnt", 0): process.pid for process in processes} | {lab_mnt: init_pid}
        trees: dict[str, Tree] = {}
        unions = []
        readers: dict[str, TreeReader] = {}
        for mnt, entry in found:
            union = self._described(mnt, entry, of_lab=mnt == lab_mnt and entry.target == "/")
            if not union.of_lab:
                with self._opened(union, entry, lenders.get(mnt, init_pid), init_pid, readers) as layers:
                    union = self._with_changes(union, layers, trees)
            unions.append(union)
        self._readers = readers
        self._before = {key: value for key, value in self._before.items() if key in {one.device for one in unions}}
        kept = {}
        room = MAX_FILES
        for key, tree in trees.items():
            room -= len(tree.files)
            kept[key] = tree if room >= 0 else Tree((), truncated=True)
        return Layers(tuple(unions), kept), more or room < 0 or self._budget.cut

    def _described(self, mnt: int, entry: MountEntry, *, of_lab: bool) -> Union:
        driver = DRIVERS[entry.type]
        readonly, create = "ro" in entry.options or "ro" in entry.super, None
        if driver == "overlay":
            layers = overlay_layers(entry.super)
        elif driver == "aufs":
            layers = self._kernel_branches(entry)
        else:
            told = self._state_of(mnt, entry.target)
            layers = branch_layers(text(line) for line in told.branches) if told else ()
            readonly, create = readonly or bool(told and told.readonly), text(told.create[:32]) if told else None
        return Union(driver, entry.device, entry.target, mnt, of_lab, readonly, layers[:MAX_LAYERS], create=create)

    def _states(self, processes: Iterable[Process]) -> list[tuple[int, State]]:
        """What those that serve a mount tell, with their mount namespaces, the youngest first."""
        serving = [one for one in processes if one.comm == state.PROCESS][:MAX_UNIONS]
        known = {pid: fd for pid, fd in self._told.items() if pid in {one.pid for one in serving}}
        states = []
        for process in sorted(serving, key=lambda one: -one.start):
            fd = known.get(process.pid) or _told_fd(f"{self._proc}/{process.pid}/fd")
            raw = _read_told(f"{self._proc}/{process.pid}/fd/{fd}") if fd else None
            told = state.decode(raw) if raw else None
            if fd and told:
                known[process.pid] = fd
                states.append((process.ns.get("mnt", 0), told))
            else:
                known.pop(process.pid, None)
        self._told = known
        return states

    def _state_of(self, mnt: int, target: str) -> State | None:
        """Of the mount at this target: of the youngest that was mounted there in this namespace, or in another."""
        there = [(inode, told) for inode, told in self._served if text(told.target) == target]
        return next((told for inode, told in there if inode == mnt), there[0][1] if there else None)

    def _kernel_branches(self, entry: MountEntry) -> tuple[Layer, ...]:
        """Of the kernel's AUFS: `si=…` names a directory in sysfs with a file for each branch."""
        number = next((option[3:] for option in entry.super if option.startswith("si=")), "")
        if not number.isalnum():
            return ()
        lines = []
        for position in range(MAX_LAYERS):
            try:
                raw = procfs.read(f"{self._sys}/fs/aufs/si_{number}/br{position}", 8192)
            except OSError:
                break
            lines.append(text(os.fsdecode(raw)).strip())
        return branch_layers(lines)

    @contextmanager
    def _opened(
        self, union: Union, entry: MountEntry, pid: int, init_pid: int, readers: dict[str, TreeReader]
    ) -> Iterator[list[_Open]]:
        # The root of a container is the union itself, so its layers are looked for where it was made first.
        pids = dict.fromkeys((init_pid, pid) if entry.target == "/" else (pid, init_pid))
        with ExitStack() as stack:
            roots = []
            for each in pids:
                try:
                    roots.append(os.open(f"{self._proc}/{each}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                except OSError:
                    continue
                stack.callback(os.close, roots[-1])
            layers = []
            for layer in union.layers:
                fd = _open(roots, layer.path, os.path.dirname(entry.target))
                if fd is None:
                    layers.append(_Open(layer, None, None))
                    continue
                stack.callback(os.close, fd)
                layers.append(self._read(union, layer, fd, readers))
            yield layers

    def _read(self, union: Union, layer: Layer, fd: int, readers: dict[str, TreeReader]) -> _Open:
        if self._budget.over():
            return _Open(layer, None, None)
        status = os.fstat(fd)
        key = f"{status.st_dev}:{status.st_ino}:{'w' if layer.writable else 'r'}"
        if union.driver != "overlay":
            key += "a"
        reader = readers.get(key) or self._readers.get(key)
        if reader is None:
            reader = TreeReader(aufs=union.driver != "overlay", writable=layer.writable)
        readers[key] = reader
        try:
            tree = reader.read(fd)
        except OSError:  # a file system of the learner's that answers nobody outside
            return _Open(layer, None, None)
        self._budget.took(tree)
        return _Open(replace(layer, tree=key), fd, tree)

    def _with_changes(self, union: Union, layers: list[_Open], trees: dict[str, Tree]) -> Union:
        for one in layers:
            if one.layer.tree is not None and one.tree is not None:
                trees[one.layer.tree] = one.tree
        union = replace(union, layers=tuple(one.layer for one in layers))
        seen = tuple(one.tree for one in layers)
        before = self._before.get(union.device)
        if (
            before is not None
            and before[1].layers == union.layers
            and time.monotonic() < before[2]
            and all(mine is theirs for mine, theirs in zip(before[0], seen, strict=True))
        ):
            self._budget.changes -= len(before[1].changes)
            return replace(union, changes=before[1].changes)
        union = replace(union, changes=self._budget.some(_changes(union, layers)))
        again = time.monotonic() + AGAIN_S if self._budget.cut else math.inf
        self._before[union.device] = (seen, union, again)
        return union


def _unions(tables: Tables, lab_mnt: int) -> tuple[list[tuple[int, MountEntry]], bool]:
    """Each union once, at its first mount: in the lab's own table, else in that of a namespace made in it."""
    found: dict[str, tuple[int, MountEntry]] = {}
    for mnt in sorted(tables, key=lambda inode: (inode != lab_mnt, inode)):
        for entry in tables[mnt]:
            if entry.type in DRIVERS and entry.device not in found:
                found[entry.device] = (mnt, entry)
    return list(found.values())[:MAX_UNIONS], len(found) > MAX_UNIONS


def _told_fd(directory: str) -> str | None:
    """The number of the descriptor by which a process that serves a mount tells of it."""
    try:
        with os.scandir(directory) as entries:
            for entry in islice(entries, 1024):
                if os.readlink(entry.path) == state.LINK:
                    return entry.name
    except OSError:
        pass  # it ended
    return None


def _read_told(path: str) -> bytes | None:
    """The link was a text, and a learner may write such a text: it is read only if it is a file in memory.

    Nothing is opened before that is known: a device does things when it is opened, and a terminal that the daemon, a
    session leader without one, opened would become its own (credentials(7)): Ctrl-C in it would end the engine.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode) or status.st_dev != _memory_device():
            return None
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.pread(fd, state.MOST_BYTES, 0)
        finally:
            os.close(fd)
    except OSError:
        return None
    finally:
        os.close(place)


@functools.cache
def _memory_device() -> int:
    """The file system of every memfd_create(2): one of the kernel's own, which nobody can mount."""
    fd = os.memfd_create("hako", os.MFD_CLOEXEC)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def _open(roots: list[int], path: str, beside: str) -> int | None:
    """An fd of a layer's directory; a relative path is tried beside the mount, where it was probably typed."""
    for root in roots:
        try:
            fd = syscalls.openat2(root, os.path.join(beside, path), os.O_PATH | os.O_DIRECTORY, resolve=_IN_ROOT)
        except (OSError, ValueError):
            continue
        try:
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        except OSError:
            continue
        finally:
            os.close(fd)
    return None


def _changes(union: Union, layers: list[_Open]) -> Iterator[Change]:
    aufs = union.driver != "overlay"
    for number, one in enumerate(layers):
        if not one.layer.writable or one.tree is None:
            continue
        hidden: list[str] = []  # below a directory that hides what the lower ones have, all is new
        for file in one.tree.files:
            covered = any(file.path.startswith(top) for top in hidden)
            below = None if covered else _below(layers, number, file.path, aufs=aufs)
            if file.mark is not None or (file.type != "directory" and below is not None):
                hidden.append(file.path + "/")
            yield Change(file.path, _kind(file, below), file.type, number, below, file.size)


def _kind(file: LayerFile, below: int | None) -> str:
    if file.mark == "whiteout":
        return "whiteout"
    if below is None:
        return "added"  # the kernel marks some new directories opaque as well: nothing is hidden by that
    return "opaque" if file.mark == "opaque" else "changed"


def _below(layers: list[_Open], number: int, path: str, *, aufs: bool) -> int | None:
    """The topmost layer below this one that shows a path."""
    for lower in range(number + 1, len(layers)):
        fd, mode = layers[lower].fd, layers[lower].layer.mode
        if fd is None:
            continue
        found = whiteouts.shows(fd, path, aufs=aufs, marks=mode == "rw" or "wh" in mode)
        if found is not None:
            return lower if found else None
    return None
