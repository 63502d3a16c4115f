"""An observation, asked the questions that predicates ask. Pure.

"Own" means: in another namespace than the lab's init. The lab's shells, its init and the engine's helpers are in the
lab's, so they are never taken for something the learner made.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from engine.observe.model import LinkEntry, MountEntry, Namespace, Observation, Process


class World:
    """See the module. Made anew for each evaluation."""

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.lab = observation.init_ns
        #: All but init and zombies, the youngest first: what a learner did last is what he means.
        self.processes = sorted(
            (one for one in observation.processes if one.pid != observation.init_pid and "mnt" in one.ns),
            key=lambda one: (-one.start, -one.pid),
        )

    def own(self, process: Process, kind: str) -> bool:
        """Whether it is in another namespace of this kind than the lab."""
        return kind in process.ns and process.ns[kind] != self.lab.get(kind)

    def owners(self, kind: str) -> list[Process]:
        """Processes with their own namespace of this kind, the youngest first."""
        return [process for process in self.processes if self.own(process, kind)]

    def own_inodes(self, kind: str) -> list[int]:
        """Namespaces of this kind that somebody is in and that are not the lab's."""
        return list(dict.fromkeys(process.ns[kind] for process in self.owners(kind)))

    def namespace_of(self, process: Process, kind: str) -> Namespace | None:
        return self.observation.namespace(kind, process.ns.get(kind, 0))

    def hostname(self, process: Process) -> str | None:
        namespace = self.namespace_of(process, "uts")
        return namespace.hostname if namespace else None

    @property
    def lab_hostname(self) -> str | None:
        namespace = self.observation.namespace("uts", self.lab.get("uts", 0))
        return namespace.hostname if namespace else None

    def left_outside(self, process: Process) -> bool:
        """Whether its next child belongs to a pid namespace in which nobody lives: `unshare -p` without --fork."""
        living = {one.ns["pid"] for one in self.observation.processes if "pid" in one.ns}
        return process.children_pid_ns is not None and process.children_pid_ns not in living

    # --- mounts

    def mounts(self, mnt: int, target: str, type_: str | None = None) -> list[MountEntry]:
        """Mounts of a namespace whose target fits (`*` and `?` allowed), the uppermost last."""
        return [
            entry
            for entry in self.observation.mounts.get(mnt, ())
            if fnmatchcase(entry.target, target) and (type_ is None or entry.type == type_)
        ]

    def below(self, mnt: int, entry: MountEntry) -> MountEntry | None:
        """The mount on which another is mounted."""
        return next((other for other in self.observation.mounts.get(mnt, ()) if other.id == entry.parent), None)

    def uppermost(self, mnt: int, target: str) -> MountEntry | None:
        """What one sees at a target: the mount there on which no other is mounted at the same place."""
        here = self.mounts(mnt, target)
        covered = {entry.parent for entry in here}
        return next((entry for entry in reversed(here) if entry.id not in covered), None)

    def shown_pid_ns(self, mnt: int) -> int | None:
        """The pid namespace that /proc shows in a mount namespace."""
        entry = self.uppermost(mnt, "/proc")
        return entry.pid_ns if entry else None

    @property
    def lab_proc_covered(self) -> bool:
        """Whether something was mounted over the lab host's /proc."""
        mnt = self.lab.get("mnt", 0)
        return len(self.mounts(mnt, "/proc")) > 1 and self.shown_pid_ns(mnt) != self.lab.get("pid")

    # --- links

    def links(self, net: int) -> tuple[LinkEntry, ...]:
        return self.observation.links.get(net, ())
