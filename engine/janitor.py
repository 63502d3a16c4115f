"""Clears away what no lab and no container owns, and proves at the end that nothing is left.

Every maker undoes what it made; the janitor is for what a killed daemon could not: a group, link, disk or loop device
between being made and being written down. It knows our things by their names and places (cgroups(7), veth(4), loop(4))
and touches nothing else. It runs when the engine starts, after the living have been taken over.
"""

from __future__ import annotations

import asyncio

import structlog

from engine.errors import EngineError
from engine.lab import Labs
from engine.runtime.container import Containers
from engine.runtime.machine import Machine
from engine.storage.disk import LabDisks

log = structlog.get_logger(__name__)

REMOVE_S = 5.0


async def sweep(machine: Machine, labs: Labs, containers: Containers) -> list[str]:
    """Remove what nobody owns; returns what it was, in words. What cannot be removed is logged and left."""
    found = []
    for kind in ("labs", "containers"):
        # First what is there, then who lives: a lab made in between is not mistaken for a stray.
        there = machine.groups.children(kind)
        living = {lab.id for lab in labs.all()} | {each.id for each in containers.all()}
        for name in there:
            if name not in living and await _remove_group(machine, f"{kind}/{name}"):
                found.append(f"cgroup {kind}/{name}")
    try:
        found += [f"link {name}" for name in await machine.network.sweep()]
    except (EngineError, OSError) as error:
        log.warning("links_not_swept", error=str(error))
    if found:
        log.info("swept", found=found)
    return found


async def _remove_group(machine: Machine, name: str) -> bool:
    try:
        group = machine.groups.get(name)
        await asyncio.to_thread(group.kill)
        await asyncio.to_thread(group.remove, REMOVE_S)
    except (EngineError, OSError) as error:
        log.warning("group_not_removed", group=name, error=str(error))
        return False
    return True


def left(machine: Machine) -> list[str]:
    """What of labs and containers is still on the machine; empty when all have ended."""
    groups = [f"cgroup {kind}/{name}" for kind in ("labs", "containers") for name in machine.groups.children(kind)]
    disks = LabDisks(machine.data / "disks")
    loops = [f"loop device {device.number} of lab {lab}" for lab, device in disks.attached().items()]
    return [*groups, *loops, *(f"disk of lab {lab}" for lab in disks.labs())]
