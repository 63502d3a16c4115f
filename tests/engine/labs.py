"""What tests of labs do all the time: run a script, type and wait for what must appear."""

from __future__ import annotations

import asyncio
import re

from engine.lab import Completed, Lab
from engine.terminal import Terminal
from tests.engine.engines import Engine


def sh(engine: Engine, lab: Lab, script: str, timeout_s: float = 20.0) -> Completed:
    """Run a script as the lab's root."""
    return engine.run(engine.labs.run(lab, ["bash", "-c", script], timeout_s=timeout_s))


def text(done: Completed) -> str:
    """What it printed, for a message too."""
    return (done.stdout + done.stderr).decode()


async def typed(terminal: Terminal, data: bytes, wanted: str) -> str:
    """Type, and wait for what must appear."""
    came = asyncio.Event()
    stop = terminal.subscribe(came.set)
    terminal.write(data)
    try:
        while True:
            came.clear()
            seen = terminal.read(0, terminal.ring_size)[1].decode(errors="replace")
            if re.search(wanted, seen):
                return seen
            await came.wait()
    finally:
        stop()
