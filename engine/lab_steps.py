"""The engine's own steps of a lab's plan: groups, disk, the disc of a live CD, /dev, layers. Each yields a descriptor.

What they make is unmade by `Labs`, by name, whether they came to their end or not; the descriptors belong to the
caller's ExitStack and are closed when the lab's first process has its own. See cgroups(7), loop(4), mknod(2).
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack
from pathlib import Path

from engine.errors import Failed
from engine.lab_state import Lab
from engine.linux import cgroups, mounts
from engine.runtime import rootfs
from engine.runtime.machine import Machine
from engine.runtime.plan import Plan, Step
from engine.storage import disc
from engine.storage.disk import LabDisks

#: A fork bomb makes groups too: more than lessons need, fewer than the kernel feels.
GROUPS_MAX = 256


async def take(machine: Machine, disks: LabDisks, lab: Lab, plan: Plan, pids: int, opened: ExitStack) -> dict[str, int]:
    """Take the engine's steps, and note how long each took.

    Args:
        pids: how many processes the learner may have.
        opened: closes the descriptors.

    Returns:
        The descriptors by the names that the child's steps know them by.

    Raises:
        EngineError, OSError: of the step that failed.
    """
    fds: dict[str, int] = {}

    def hold(name: str, fd: int) -> None:
        fds[name] = fd
        opened.callback(os.close, fd)

    for number, step in plan.numbered("engine"):
        begun = time.monotonic_ns()
        if step.kind == "create_cgroup":
            if (cgroup := _create_groups(machine, lab, step, pids).open_fd()) >= 0:
                hold("cgroup", cgroup)
        elif step.kind == "create_disk":
            disk = await asyncio.to_thread(disks.create, lab.id, step.args["size_bytes"])
            hold("disk", disk.mount_fd)
        elif step.kind == "insert_disc":
            system = Path(step.args["system"])
            hold("disc", await asyncio.to_thread(disc.insert, disks.folder, lab.id, lab.first_id, system))
        elif step.kind == "create_devices":
            hold("dev", make_devices(step.args["nodes"], step.args["owner"]))
        elif step.kind == "open_layers":
            for layer, path in enumerate(step.args["lower"]):
                hold(f"layer{layer}", mounts.copy(path))
            for name, path in step.args["shared"]:
                hold(name, mounts.copy(path))
        lab.times.append((number, time.monotonic_ns() - begun))
    return fds


def _create_groups(machine: Machine, lab: Lab, step: Step, pids: int) -> cgroups.Group:
    """The lab's group with the limits; in it one for the engine's helpers and the learner's own, delegated."""
    limits = cgroups.Limits(**step.args["limits"], descendants=GROUPS_MAX)
    machine.groups.create(step.args["path"], limits).allow_devices(tuple(step.args["devices"]))
    machine.groups.create(f"{step.args['path']}/helpers")
    payload = machine.groups.create(f"{step.args['path']}/payload", cgroups.Limits(pids=pids))
    payload.delegate(lab.first_id, lab.first_id)
    return payload


def make_devices(nodes: list[tuple[str, int, int]], owner: int) -> int:
    """A lab's /dev, made by the machine's root since its own may not make nodes: a detached tmpfs.

    Args:
        nodes: (name, major, minor) of character devices.
        owner: the lab's root, as the machine counts.

    Returns:
        An fd of the mount.

    Raises:
        Failed: no tmpfs could be made.
    """
    try:
        fd = mounts.new("tmpfs", ["nosuid", "noexec", "mode=755", "size=64k"])
    except OSError as error:
        raise Failed(f"A lab's /dev could not be made: {error}.", "See `hako doctor`.") from error
    try:
        os.chown(".", owner, owner, dir_fd=fd)
        rootfs.make_nodes(fd, nodes, owner)
    except BaseException:
        os.close(fd)
        raise
    return fd
