"""Programs in a lab: a learner's terminals, and scripts run for a lesson.

Each is started by entering the lab's namespaces (runtime/plan.py, `enter`), in the learner's own group, or beside it
when that is full: after a fork bomb the learner still gets a shell to end it with. What a script leaves running stays
in the lab, as if typed there. Every entry has a deadline (zygote.py), since a lab may do anything to whoever enters it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine import lab_needs, lab_plan
from engine.errors import Conflict
from engine.lab_state import Lab
from engine.linux import procfs
from engine.runtime import process as processes
from engine.runtime import stdio
from engine.runtime.machine import Machine
from engine.runtime.process import Process, StepFailed
from engine.terminal import Terminal

ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Completed:
    """How a script in a lab ended: its exit code (137 after the deadline) and the last 256 KiB of each output."""

    status: int
    stdout: bytes
    stderr: bytes


class Descriptors(Protocol):
    """What a program gets (`fds`), and what of it the zygote keeps as long as it runs; a `stdio.Prepared` is one."""

    @property
    def fds(self) -> dict[str, int]: ...

    @property
    def kept(self) -> dict[str, int]: ...


async def open_terminal(
    machine: Machine, lab: Lab, terminal_id: str, name: str, size: tuple[int, int], args: list[str], cwd: str
) -> Terminal:
    """A shell on a new pty of the lab's own devpts.

    Args:
        size: rows and columns, known before the shell draws its first line.

    Raises:
        Conflict: the lab is not ready. StepFailed: a step did not work.
    """
    rows, cols = size
    env = {**ENV, "TERM": "xterm-256color", "SHELL": "/bin/bash"}
    program = lab_plan.process(args, env, rows=rows, cols=cols, cwd=cwd)
    with stdio.prepare(tty=True, interactive=True) as prepared:
        info = {"kind": "terminal", "lab": lab.id, "id": terminal_id, "name": name}
        started = await enter(machine, lab, terminal_id, program, prepared, info)
        try:
            console = prepared.finish(started.fds).consoles[stdio.TTY]
        except BaseException:  # EMFILE, say: nobody would ever ask for this shell again
            machine.zygote.forget(terminal_id)
            raise
    return Terminal(terminal_id, lab.id, name, started, console, rows, cols)


def restore_terminal(lab: Lab, process: Process) -> Terminal:
    """The terminal of a process found again after a restart, with its ring and every byte in it."""
    console = stdio.restore(process.fds).consoles[stdio.TTY]
    rows, cols = console.size()
    return Terminal(process.key, lab.id, process.info["name"], process, console, rows, cols)


async def run(
    machine: Machine, lab: Lab, key: str, args: list[str], stdin: bytes, timeout_s: float, env: dict[str, str]
) -> Completed:
    """Run a program and collect what it prints.

    Raises:
        Conflict: the lab is not ready. StepFailed: it could not be started.
    """
    program = lab_plan.process(args, {**ENV, "TERM": "dumb", **env}, cwd="/root")
    with stdio.prepare(tty=False, interactive=True) as prepared:
        process = await enter(machine, lab, key, program, prepared, {"kind": "run", "lab": lab.id})
        streams = prepared.finish(process.fds)
    streams.on_stdin_closed = lambda: machine.zygote.let_go(key, stdio.STDIN)
    try:
        stop = _feed(streams, stdin)
        try:
            await _collect(process, streams, timeout_s)
        finally:
            stop()
        status = processes.exit_code(process.status.result()) if process.status.done() else 137
        out, err = (streams.consoles[name].ring for name in stdio.OUTPUTS)
        return Completed(status, out.read(0, out.head), err.read(0, err.head))
    finally:
        streams.close()
        machine.zygote.forget(key)


async def enter(
    machine: Machine, lab: Lab, key: str, program: dict[str, Any], prepared: Descriptors, info: dict[str, Any]
) -> Process:
    """Start a program in the lab.

    Raises:
        Conflict: the lab is not ready. StepFailed: a step did not work.
    """
    try:
        return await _enter_group(machine, lab, "payload", key, program, prepared, info)
    except StepFailed as error:
        if error.errno == errno.EBUSY and (place := _place_of_init(machine, lab)):
            # v2: who hands controllers down from a group may have no process in it (cgroups(7), "no internal
            # processes"), so the learner has moved everybody on, init too. A new shell belongs where init is.
            with contextlib.suppress(StepFailed):
                return await _enter_group(machine, lab, place, key, program, prepared, info)
        elif error.errno != errno.EAGAIN:
            raise
        return await _enter_group(machine, lab, "helpers", key, program, prepared, info)


def _place_of_init(machine: Machine, lab: Lab) -> str:
    """The v2 group of the lab's first process, as a part below the lab's own; "" where it is not in the learner's."""
    if lab.process is None:
        return ""
    try:
        text = procfs.read(f"/proc/{lab.process.pid}/cgroup").decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    path = next((line.partition("::")[2] for line in text.splitlines() if line.startswith("0::")), "")
    _, found, place = path.partition(f"/{machine.groups.instance}/labs/{lab.id}/payload/")
    return f"payload/{place}" if found and ".." not in place.split("/") else ""


async def _enter_group(
    machine: Machine,
    lab: Lab,
    part: str,
    key: str,
    program: dict[str, Any],
    prepared: Descriptors,
    info: dict[str, Any],
) -> Process:
    if lab.state != "ready" or lab.process is None:
        # A process that joins a frozen v1 group freezes with it, and the engine would wait for it.
        raise Conflict(f"The lab is {lab.state}.", "Resume it first." if lab.state == "paused" else "Start a new one.")
    plan, group = lab_plan.enter(program, lab.id, lab_needs.kinds()), lab.group(machine, part)
    learnt = machine.learnt(plan, lab.group(machine, part.partition("/")[0]))
    for number, step in plan.numbered("child"):
        if step.kind == "console":
            learnt[number] = {"uid": lab.first_id}
    fds = {"target": lab.process.pidfd, "ptmx": lab.process.fds["ptmx"], **prepared.fds}
    try:
        cgroup = group.open_fd()
    except FileNotFoundError as error:
        raise Conflict("The lab is ending.", "Start a new one.") from error
    if cgroup >= 0:
        fds["cgroup"] = cgroup
    try:
        return await machine.zygote.start(key, plan, fds, keep=tuple(prepared.kept), info=info, arguments=learnt)
    finally:
        if cgroup >= 0:
            os.close(cgroup)


def _feed(streams: stdio.Stdio, data: bytes) -> Callable[[], None]:
    """Give a program its input as fast as it reads, a pipe holds 64 KiB of it, and then its end; returns what stops."""
    loop, rest, pipe = asyncio.get_running_loop(), memoryview(data), streams.stdin

    def stop() -> None:
        nonlocal pipe
        if pipe >= 0:  # else its number may be another's by now
            loop.remove_writer(pipe)
            pipe = -1
            streams.close_stdin()

    def feed() -> None:
        nonlocal rest
        rest = streams.put(rest)
        if not rest or streams.stdin < 0:  # all of it; or it does not read to the end, as `head` does not
            stop()

    loop.add_writer(pipe, feed)
    return stop


async def _collect(process: Process, streams: stdio.Stdio, timeout_s: float) -> None:
    """Take what a program prints until it has ended; after the deadline kill it."""
    loop = asyncio.get_running_loop()

    def pump(name: str) -> None:
        console = streams.consoles[name]
        console.pump(32768)
        if console.ended:
            loop.remove_reader(console.source)

    for name, console in streams.consoles.items():
        loop.add_reader(console.source, pump, name)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(process.status)
    except TimeoutError:
        process.signal(9)
    finally:
        for console in streams.consoles.values():
            loop.remove_reader(console.source)
            console.drain()
