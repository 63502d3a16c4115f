"""What containers and labs are made with: the engine's other parts, and what only they can tell a plan's steps.

A plan is built before anything exists. Some of its steps need what is known only when the engine's own steps are taken:
the files of the cgroup, the compiled filter, how this machine mounts its cgroups. `learnt` adds that, step by step.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.images.store import ImageStore
from engine.linux import cgroups, seccomp
from engine.network import Network
from engine.runtime.plan import Plan
from engine.runtime.process import Zygote
from engine.storage.union import UnionDriver


@dataclass(frozen=True)
class Machine:
    """The engine's parts. `data` is the data directory; `inside` says that it is a lab's own engine."""

    data: Path
    zygote: Zygote
    groups: cgroups.Root
    union: UnionDriver
    network: Network
    images: ImageStore
    inside: bool = False

    def learnt(self, plan: Plan, group: cgroups.Group) -> dict[int, dict[str, Any]]:
        """Arguments of a plan's child steps that could not be known when it was built, by step number."""
        found: dict[int, dict[str, Any]] = {}
        for number, step in plan.numbered("child"):
            if step.kind == "join_cgroup":
                found[number] = {"tasks": [str(path) for path in group.tasks_paths()]}
            elif step.kind == "mount" and "source" in step.args:
                found[number] = {"directory": os.path.isdir(step.args["source"])}
            elif step.kind == "cgroups":
                found[number] = cgroup_mounts(group.hierarchy)
            elif step.kind == "seccomp":
                cache = str(self.data / "seccomp")
                program = seccomp.compile_profile(step.args["profile"], step.args["bounding"], cache=cache)
                found[number] = {"filter": program}
        return found


def cgroup_mounts(hierarchy: cgroups.Hierarchy) -> dict[str, Any]:
    """How the cgroup file systems look inside: v2 alone, or a tmpfs with a directory for each v1 tree.

    Controllers that share a tree (`cpu,cpuacct`) get one directory and a link from each name, as systemd lays it out.
    """
    words = ["nosuid", "nodev", "noexec"]
    if hierarchy.kind == "v2":
        return {"mounts": [("", "cgroup2", words)]}
    entries: list[tuple[str, str, list[str]]] = [("", "tmpfs", [*words, "mode=755", "size=64k"])]
    for mount in hierarchy.v1_mounts:
        names = sorted(name for name, place in hierarchy.v1.items() if place == mount)
        entries.append((",".join(names), "cgroup", [*words, *names]))
    if hierarchy.unified is not None:
        entries.append(("unified", "cgroup2", words))
    links = [(name, target) for target, _, _ in entries if "," in target for name in target.split(",")]
    return {"mounts": entries, "links": links}
