"""A lab as the daemon has it: what it is, where it is in its life, what runs in it. No behaviour but looking up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from engine.lab_record import LabRecord
from engine.linux import cgroups
from engine.runtime.machine import Machine
from engine.runtime.process import Process
from engine.terminal import Terminal


@dataclass
class Lab:
    """A lab.

    Attributes:
        state: creating, ready, paused or ended; `reason` says why it left the one before.
        first_id: first id of its block on the machine.
        idle_ends_at, ends_at: seconds since 1970; when it ends if nobody works in it, and however busy it is.
        process: its first process, a static reaper.
        programs: how many are being run in it by `Labs.run`.
        times: (step number, nanoseconds) of its making.
        lock: held by whatever changes its life, so that reset, pause and the end cannot meet half-way.
    """

    record: LabRecord
    state: str = "creating"
    reason: str = ""
    first_id: int = 0
    idle_ends_at: float = 0.0
    ends_at: float = 0.0
    process: Process | None = None
    terminals: dict[str, Terminal] = field(default_factory=dict)
    programs: int = 0
    times: list[tuple[int, int]] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def id(self) -> str:
        return self.record.id

    def group(self, machine: Machine, part: str = "") -> cgroups.Group:
        """Its group, or in it the learner's (`payload`) or the engine's (`helpers`)."""
        name = f"labs/{self.id}/{part}".rstrip("/")
        return cgroups.Group(machine.groups.hierarchy, machine.groups.instance, name)
