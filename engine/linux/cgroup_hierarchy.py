"""Where this host's cgroup trees are: v1, v2 or hybrid. See cgroups(7), "Cgroups version 1" and "version 2".

v1 has one tree for each controller (or for several mounted together), v2 one tree for all; a hybrid host has v1 trees
with the controllers and a v2 tree without them, which still can kill and freeze.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.linux import procfs
from engine.linux.cgroup_files import read_text


@dataclass(frozen=True)
class Hierarchy:
    """Where the trees are.

    Attributes:
        v1: controller -> mount point; controllers mounted together share one.
        unified: mount point of the v2 tree, None without.
        v2_controllers: controllers the v2 tree has; none when v1 has them all.
    """

    v1: dict[str, Path] = field(default_factory=dict)
    unified: Path | None = None
    v2_controllers: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """ "v1", "v2" or "hybrid"."""
        if not self.v1:
            return "v2"
        return "v1" if self.unified is None else "hybrid"

    @property
    def v1_mounts(self) -> tuple[Path, ...]:
        """Each v1 tree once."""
        return tuple(dict.fromkeys(self.v1.values()))

    @property
    def mounts(self) -> tuple[Path, ...]:
        """Each tree once, v1 first."""
        return (*self.v1_mounts, *((self.unified,) if self.unified else ()))


def hierarchy_of(mounts: Iterable[procfs.Mount], known: frozenset[str]) -> Hierarchy:
    """What a process sees, from its mounts. Pure but for reading cgroup.controllers.

    Args:
        mounts: of /proc/self/mountinfo.
        known: the controllers of this kernel (/proc/cgroups), to tell them from mount options.
    """
    v1: dict[str, Path] = {}
    unified: Path | None = None
    for mount in mounts:
        # The first mount of a tree is the system's own; later ones are somebody's, in a container's root or a test's.
        if mount.type == "cgroup":
            for controller in known.intersection(mount.super_options):
                v1.setdefault(controller, Path(mount.target))
        elif mount.type == "cgroup2" and unified is None:
            unified = Path(mount.target)
    offered = frozenset(read_text(unified / "cgroup.controllers").split()) if unified else frozenset()
    return Hierarchy(dict(sorted(v1.items())), unified, offered)
