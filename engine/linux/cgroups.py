"""Control groups: a directory is a group, a write is a limit. See cgroups(7).

A host has cgroup v1 (one tree for each controller), v2 (one tree for all) or both (hybrid); `Cgroups.detect` finds out.
`Root` is our own group in every tree, and nothing outside it is ever written to, but for cgroup.subtree_control on the
way to it on v2. `Group` is one group in all trees at once.

Moving processes is left to the processes: on v2 clone3(CLONE_INTO_CGROUP) with `Group.open_fd`, on v1 the child writes
"0" to each of `Group.tasks_paths`. Writing a pid to cgroup.procs waits for an RCU grace period, 6 to 22 ms.
Trees are found by cgroup_hierarchy.py, limits translated by cgroup_limits.py, counters read by cgroup_usage.py, devices
kept away by cgroup_devices.py, and pausing, killing and removing is cgroup_end.py's.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import BadInput, Failed, NotFound, Unsupported
from engine.linux import cgroup_devices, cgroup_end, cgroup_usage, procfs
from engine.linux.cgroup_files import enable_controllers, mkdir, mkdirs, prepare_v1, read_text, write_all
from engine.linux.cgroup_hierarchy import Hierarchy, hierarchy_of
from engine.linux.cgroup_limits import UNLIMITED, Limits, controllers, writes_v1, writes_v2
from engine.linux.cgroup_usage import Usage

__all__ = ["UNLIMITED", "Cgroups", "Group", "Hierarchy", "Limits", "Root", "Usage"]

_COMPONENT = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Cgroups:
    """The control groups of this host."""

    hierarchy: Hierarchy

    @classmethod
    def detect(cls, proc: str = "/proc") -> Cgroups:
        """Look at what is mounted here.

        Raises:
            Unsupported: no cgroup file system is mounted.
        """
        lines = read_text(Path(proc) / "cgroups").splitlines()
        known = frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))
        found = hierarchy_of(procfs.mountinfo("self", proc), known)
        if not found.mounts:
            raise Unsupported(
                "No cgroup file system is mounted.", "Mount one: mount -t cgroup2 none /sys/fs/cgroup (see cgroups(7))."
            )
        return cls(found)

    def below(self, place: str) -> Cgroups:
        """The same trees, but v2's from a group on that was given to us: what we make is in there.

        Args:
            place: below the mount point, as systemd's "hako.slice/hako.service" with Delegate=yes; "": as it is. Of
                v1's trees systemd gives away none, so they stay.

        Raises:
            Failed: there is no such group.
        """
        unified = self.hierarchy.unified
        if not place or unified is None:
            return self
        given = unified.joinpath(*map(_component, place.split("/")))
        if not given.is_dir():
            raise Failed(f"There is no cgroup {given}.", "HAKO_CGROUP is set by the unit of `hako up --systemd`.")
        offered = frozenset(read_text(given / "cgroup.controllers").split())
        return Cgroups(replace(self.hierarchy, unified=given, v2_controllers=offered))

    def root(self, instance: str) -> Root:
        """Our own group in every tree, made if it is not there.

        Raises:
            Failed: a tree refuses it, e.g. because it is mounted read-only.
        """
        root = Root(self.hierarchy, _component(instance))
        for mount in self.hierarchy.v1_mounts:
            prepare_v1(mount, mount / root.instance)
        if self.hierarchy.unified:
            enable_controllers(self.hierarchy.unified, self.hierarchy.v2_controllers)
            mkdir(self.hierarchy.unified / root.instance)
            # At once: systemd withdraws a controller from the top when none of its units has a use for it, unless a
            # group there hands it down.
            enable_controllers(self.hierarchy.unified / root.instance, self.hierarchy.v2_controllers)
        return root


@dataclass(frozen=True)
class Root:
    """Our group, below which all others are made. Names of groups are relative to it: "labs/ID/payload"."""

    hierarchy: Hierarchy
    instance: str

    def create(self, name: str, limits: Limits | None = None) -> Group:
        """Make a group, and those above it, in every tree and limit it; one that is there is limited anew.

        Write limits before a process is in: what it used before is not charged again.

        Raises:
            BadInput: a hostile or empty name.
            Unsupported: the kernel lacks a controller that a limit needs.
            Failed: the kernel refuses a directory or a value.
        """
        group = Group(self.hierarchy, self.instance, _clean(name))
        made = [path for path in group.directories if not path.exists()]
        try:
            self._make(group)
            if limits:
                group.limit(limits)
        except BaseException:
            for path in made:
                cgroup_end.rmdir_quietly(path)
            raise
        return group

    def get(self, name: str) -> Group:
        """A group that is there.

        Raises:
            NotFound: it is not, in any tree.
        """
        group = Group(self.hierarchy, self.instance, _clean(name))
        if not group.exists():
            raise NotFound(f"There is no cgroup {group.instance}/{name}.")
        return group

    def children(self, name: str = "") -> list[str]:
        """Names of the groups right below `name` in any tree, sorted: what a restart has to look through."""
        base = Path(self.instance, *_clean(name).split("/")) if name else Path(self.instance)
        found: set[str] = set()
        for mount in self.hierarchy.mounts:
            try:
                with os.scandir(mount / base) as entries:
                    found.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except FileNotFoundError:
                continue
        return sorted(found)

    def throttles_io(self) -> bool:
        """Whether a group can have a limit for reading or writing a device (CONFIG_BLK_DEV_THROTTLING)."""
        v1, unified = self.hierarchy.v1.get("blkio"), self.hierarchy.unified
        if v1 is not None:
            return (v1 / self.instance / "blkio.throttle.write_bps_device").exists()
        return unified is not None and (unified / self.instance / "io.max").exists()

    def remove(self) -> None:
        """Remove our group and all below it, if no process is left in it. Raises Failed if one is."""
        for mount in self.hierarchy.mounts:
            cgroup_end.remove_tree(mount / self.instance)

    def _make(self, group: Group) -> None:
        for mount in self.hierarchy.v1_mounts:
            mkdirs(mount / self.instance, group.name)
        unified = self.hierarchy.unified
        if unified:
            # Controllers are handed down one level at a time, each before the next directory is made.
            path = unified / self.instance
            for component in group.name.split("/"):
                enable_controllers(path, self.hierarchy.v2_controllers)
                path /= component
                mkdir(path)


@dataclass(frozen=True)
class Group:
    """One group, in every tree. Making one of these makes nothing in the kernel: see Root.create and Root.get."""

    hierarchy: Hierarchy
    instance: str
    name: str

    def path(self, controller: str) -> Path | None:
        """The group's directory where `controller` is at work ("" for the v2 tree), None where there is none."""
        mount = self.hierarchy.v1.get(controller)
        if mount is None and (controller == "" or controller in self.hierarchy.v2_controllers):
            mount = self.hierarchy.unified
        return mount / self.instance / self.name if mount else None

    def trees(self) -> dict[str, Path]:
        """controller -> the group's directory where it is at work, of all there are."""
        names = {*self.hierarchy.v1, *self.hierarchy.v2_controllers}
        return {name: path for name in sorted(names) if (path := self.path(name))}

    @property
    def directories(self) -> tuple[Path, ...]:
        """The group's directory in each tree."""
        return tuple(mount / self.instance / self.name for mount in self.hierarchy.mounts)

    def exists(self) -> bool:
        """Whether it is there in any tree."""
        return any(path.is_dir() for path in self.directories)

    def limit(self, limits: Limits) -> None:
        """Set limits; those that are None stay.

        Raises:
            Unsupported: the kernel lacks a controller that a limit needs.
            Failed: the kernel refuses a value; on v1 EBUSY says that more is in use than the new limit.
        """
        for controller in controllers(limits):
            path = self.path(controller)
            if path is None:
                raise Unsupported(
                    f"The {controller} controller is not there.", "cat /proc/cgroups says what this kernel has."
                )
            on_v1 = controller in self.hierarchy.v1
            write_all(path, writes_v1(limits, controller) if on_v1 else writes_v2(limits, controller))
        unified = self.path("")
        if unified:
            write_all(unified, writes_v2(limits, ""))

    def allow_devices(self, devices: tuple[cgroup_devices.Device, ...]) -> None:
        """Let its processes open these devices and no others; to be called while nothing is in it or below it.

        Raises:
            Unsupported: the kernel has neither the v1 controller nor BPF programs for it.
        """
        controller, unified = self.path("devices") if "devices" in self.hierarchy.v1 else None, self.path("")
        try:
            if controller is not None:
                cgroup_devices.allow_v1(controller, devices)
            elif unified is not None:
                cgroup_devices.allow_v2(unified, devices)
            else:
                raise OSError(errno.ENODEV, "no devices controller")
        except OSError as error:
            raise Unsupported(
                f"Devices of the machine cannot be kept from group {self.name}: {error}.",
                "The kernel needs CONFIG_CGROUP_DEVICE, and for cgroup v2 CONFIG_CGROUP_BPF.",
            ) from error

    def delegate(self, uid: int, gid: int) -> None:
        """Let a user move its own processes about in this group and make groups below, but not change its limits.

        The v1 devices controller cannot be delegated (writing its lists needs CAP_SYS_ADMIN on the host), so its
        directory stays root's.
        """
        unified, devices = self.path(""), self.hierarchy.v1.get("devices")
        for path in self.directories:
            if path == unified:
                files = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"]
            elif devices is not None and path == self.path("devices"):
                continue
            else:
                files = ["tasks", "cgroup.procs"]
            for file in (path, *(path / name for name in files)):
                os.chown(file, uid, gid)

    def tasks_paths(self) -> tuple[Path, ...]:
        """v1: the `tasks` files to which a single-threaded child writes "0" to move itself, cheaply."""
        return tuple(mount / self.instance / self.name / "tasks" for mount in self.hierarchy.v1_mounts)

    def open_fd(self) -> int:
        """v2: an O_PATH fd of the directory for clone3(CLONE_INTO_CGROUP), to be closed by the caller; -1 on v1."""
        path = self.path("")
        return -1 if path is None else os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        """Host pids of all processes in the group and below, from one tree: every process is in each."""
        return cgroup_end.pids_below(self.processes_path)

    @property
    def processes_path(self) -> Path:
        """Its directory in the tree that answers "who": v2 where there is one, which also can kill and freeze."""
        return self.path("") or self.path("pids") or self.directories[0]

    def freeze(self, deadline_s: float = 1.0) -> None:
        """Stop every process of the group where it is, and wait until they are.

        Raises:
            Failed: some did not stop in time (a process deep in an uninterruptible wait); the group is thawed again.
        """
        cgroup_end.freeze(self._freezer, deadline_s)

    def frozen(self) -> bool:
        """Whether every process of the group is stopped."""
        return cgroup_end.frozen(self._freezer)

    def thaw(self) -> None:
        """Let the group go on. On v1 groups below that were frozen by themselves stay so."""
        cgroup_end.thaw(self._freezer)

    def kill(self) -> None:
        """SIGKILL to every process of the group and below, frozen or not. They end soon after; their parent reaps."""
        cgroup_end.kill(self.processes_path, self.path("freezer") if "freezer" in self.hierarchy.v1 else None)

    def remove(self, deadline_s: float = 2.0) -> None:
        """Remove the group and all below it, deepest first; fine if it is gone already.

        Raises:
            Failed: a process is still in it when the time is over.
        """
        # The tree that knows best who is in comes first: while it refuses, the limits in the others stay.
        for path in reversed(self.directories):
            cgroup_end.remove_tree(path, deadline_s)

    def usage(self) -> Usage:
        """What it has used so far."""
        unified = self.path("")
        if not self.hierarchy.v1:
            return cgroup_usage.usage_v2(unified) if unified else Usage()
        found = {name: path for name in self.hierarchy.v1 if (path := self.path(name))}
        return cgroup_usage.usage_v1(found)

    @property
    def _freezer(self) -> Path:
        path = self.path("") or self.path("freezer")
        if path is None:
            raise Unsupported(
                "No freezer is there.", "cgroup v1 without the freezer controller cannot pause a container."
            )
        return path


def _component(name: str) -> str:
    if not _COMPONENT.fullmatch(name):
        raise BadInput(f"{name!r} cannot name a cgroup.", "Letters, digits, '_', '-' and '.', not beginning with '.'.")
    return name


def _clean(name: str) -> str:
    return "/".join(_component(component) for component in name.split("/"))
