"""The calls of `engine.sock`: containers, for root's command line (`cli_run.py`).

    container.create {spec}                         -> {id, name}
    container.start {container, attach}             -> {streams?}  or  {status, message}: 126, 127 as docker(1)
    container.exec {container, argv, …, attach}     -> {exec, streams?}  or  {status, message}
    container.input {container|exec, data}          -> null, once the program took it
    container.close_stdin, .signal {signal}, .pause, .resume, .remove {force}, .wait -> {status}, .list, .inspect
    container.resize {container|exec, rows, cols}   one-way
    terminal.ack {stream, consumed}                 one-way, as on lab.sock
    container.stop, .logs                           lasting.py
    image.list, plan.explain {container}
    plan.script {spec, command, lang}               -> the text of a shell script; makes nothing

Output comes as `terminal.output` and `terminal.exit` events with the credit of `streams.py`: one stream for a terminal,
two for a stdout and a stderr. A container nobody attached to runs freely; its ring keeps the newest output.
"""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, fields
from typing import Any

import structlog

from engine.api import lasting, wire
from engine.api.args import Args
from engine.api.peer import Handler, Peer, abandonable
from engine.api.pump import Feed, Pump
from engine.api.terminals import COLS, ROWS, Terminals
from engine.errors import BadInput, NotFound
from engine.runtime import lastplan, script_place, spec, words
from engine.runtime.container import Container, Containers, Exec
from engine.runtime.machine import Machine
from engine.runtime.process import StepFailed, exit_code
from engine.runtime.stdio import TTY, Stdio

log = structlog.get_logger(__name__)

INPUT = 64 * 1024
ARGUMENTS = 4096
OFFSET = 2**63 - 1
NOT_FOUND, NOT_RUNNABLE = 127, 126


@dataclass
class Running:
    """The outputs and the input of one program."""

    pumps: dict[str, Pump]
    feed: Feed


class EngineApi:
    """The handlers of `engine.sock`."""

    def __init__(self, machine: Machine, containers: Containers, terminals: Terminals) -> None:
        self._machine = machine
        self._containers = containers
        self._terminals = terminals
        self._running: dict[str, Running] = {}  # by container id or exec id
        self._swept_for: set[Peer] = set()

    def handlers(self) -> dict[str, Handler]:
        """The calls, by name."""
        return {
            "container.create": self.create,
            "container.start": self.start,
            "container.exec": self.exec,
            "container.input": abandonable(lambda peer, args: self.input(peer, args)),
            "container.close_stdin": self.close_stdin,
            "container.resize": self.resize,
            "container.signal": self.signal,
            "container.pause": lambda peer, args: self._containers.pause(self._container(args)),
            "container.resume": lambda peer, args: self._containers.resume(self._container(args)),
            "container.remove": self.remove,
            "container.wait": abandonable(lambda peer, args: self.wait(peer, args)),
            "container.stop": lambda peer, args: lasting.stop(self._containers, self._container(args), args),
            "container.logs": self.logs,
            "container.list": lambda peer, args: [summary(each) for each in self._containers.all()],
            "container.inspect": self.inspect,
            "terminal.ack": self.ack,
            "image.list": self.images,
            "plan.explain": self.explain,
            "plan.script": self.script,
        }

    def recover(self) -> None:
        """Begin to read the output of what an earlier daemon left running."""
        for container in self._containers.all():
            if container.stdio is not None and container.process is not None:
                self._mind_container(container)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def create(self, peer: Peer, args: Args) -> wire.Message:
        """Write a container down."""
        container = await self._containers.create(run_spec(args.mapping("spec")))
        return {"id": container.id, "name": container.record.name}

    async def start(self, peer: Peer, args: Args) -> wire.Message:
        """Run it; with `attach` its output follows from the first byte on."""
        container = self._container(args)
        try:
            await self._containers.start(container, interactive=args.flag("interactive"))
        except StepFailed as error:
            self._leave_plan(container, error.step)
            if container.record.remove:
                await self._containers.remove(container, force=True)
            return not_runnable(error, container.record.config["process"]["args"])
        # After the answer: the program is running, and nobody waits for what is only looked at.
        asyncio.get_running_loop().call_soon(self._leave_plan, container)
        running = self._mind_container(container)
        answer = {"plan": plan_in_words(container, "en")} if args.flag("explain") else {}
        return {**answer, "streams": self._attach(peer, running)} if args.flag("attach") else answer

    async def exec(self, peer: Peer, args: Args) -> wire.Message:
        """Run one more program in a container."""
        container = self._container(args)
        argv = args.items("argv", str, ARGUMENTS)
        process = spec.exec_process(
            argv,
            container.record.config,
            env=args.items("env", str, ARGUMENTS) if args.has("env") else [],
            user=args.text("user", ""),
            cwd=args.text("workdir", "", limit=ARGUMENTS),
            tty=args.flag("tty"),
            rows=args.integer("rows", *ROWS, default=24),
            cols=args.integer("cols", *COLS, default=80),
        )
        try:
            made = await self._containers.exec(container, process, interactive=args.flag("interactive"))
        except StepFailed as error:
            return not_runnable(error, argv)
        running = self._mind(made.id, made.stdio, process)
        made.process.status.add_done_callback(lambda status: self._exec_ended(container, made, status.result()))
        return {"exec": made.id, "streams": self._attach(peer, running) if args.flag("attach") else {}}

    async def remove(self, peer: Peer, args: Args) -> None:
        """Delete it and its files."""
        await self._containers.remove(self._container(args), force=args.flag("force"))
        self._sweep()

    async def wait(self, peer: Peer, args: Args) -> wire.Message:
        """Come back when it has ended."""
        container = self._container(args)
        if container.record.state == "exited":
            return {"status": container.record.exit_code}
        return {"status": await asyncio.shield(container.ended)}

    def signal(self, peer: Peer, args: Args) -> None:
        """Send a signal to its first process, or to the exec's."""
        number = args.integer("signal", 1, 64)
        if args.has("exec"):
            self._exec(args)[1].process.signal(number)
        else:
            self._containers.signal(self._container(args), number)

    async def logs(self, peer: Peer, args: Args) -> wire.Message:
        """What it said; see lasting.py."""
        container = self._container(args)
        running = self._running.get(container.id)
        return await lasting.logs(self._containers, container, args, running.pumps.values() if running else ())

    # -- bytes --------------------------------------------------------------------------------------------------------

    async def input(self, peer: Peer, args: Args) -> None:
        """Type; comes back when the program's terminal or pipe took it."""
        await self._target(args).feed.write(args.data("data", INPUT))

    async def close_stdin(self, peer: Peer, args: Args) -> None:
        """No more input comes."""
        await self._target(args).feed.end()

    def resize(self, peer: Peer, args: Args) -> None:
        """Give its terminal a size."""
        for pump in self._target(args).pumps.values():
            self._terminals.resize(pump, args.integer("rows", 0, 10_000), args.integer("cols", 0, 10_000))

    def ack(self, peer: Peer, args: Args) -> None:
        """The client consumed all before an offset."""
        self._terminals.ack(peer, args.integer("stream", 0, OFFSET), args.integer("consumed", 0, OFFSET))

    # -- looking ------------------------------------------------------------------------------------------------------

    def inspect(self, peer: Peer, args: Args) -> wire.Message:
        """All that is known of a container: the summary and its OCI document."""
        container = self._container(args)
        pid = container.process.pid if container.process is not None else 0
        return {**summary(container), "pid": pid, "config": container.record.config}

    def images(self, peer: Peer, args: Args) -> list[wire.Message]:
        """The images of this machine."""
        return [
            {"ref": str(image.ref), "id": str(image.id), "layers": [path.parent.name for path in image.layers]}
            for image in self._machine.images.all()
        ]

    def explain(self, peer: Peer, args: Args) -> list[wire.Message]:
        """The plan of a container's last start in words, each step with the time it took."""
        container = self._container(args)
        if container.plan is None:
            raise NotFound(f"Container {container.record.name} was not started by this engine.", "Start it again.")
        return plan_in_words(container, args.choice("lang", ("en", "ja"), "en"))

    def script(self, peer: Peer, args: Args) -> str:
        """A shell script that builds by hand what container.create and .start would."""
        run = run_spec(args.mapping("spec"))
        command = args.text("command", "", limit=ARGUMENTS)
        return script_place.script_of(self._machine, run, command, args.choice("lang", ("en", "ja"), "en"))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _container(self, args: Args) -> Container:
        return self._containers.get(args.text("container"))

    def _exec(self, args: Args) -> tuple[Container, Exec]:
        key = args.text("exec")
        for container in self._containers.all():
            if key in container.execs:
                return container, container.execs[key]
        raise NotFound(f"There is no program {key!r} running.", "It has ended.")

    def _target(self, args: Args) -> Running:
        key = args.text("exec") if args.has("exec") else self._container(args).id
        running = self._running.get(key)
        if running is None:
            raise NotFound(f"Container {key[:12]} is not running.", "Start it first.")
        return running

    def _leave_plan(self, container: Container, failed: int | None = None) -> None:
        """In a lab: for the page's timeline."""
        if self._machine.inside and container.plan is not None:
            try:
                lastplan.leave(self._machine.data, lastplan.of_start(container, failed))
            except OSError as error:
                log.warning("plan_not_left", container=container.id[:12], error=str(error))

    def _mind_container(self, container: Container) -> Running:
        assert container.stdio is not None
        running = self._mind(container.id, container.stdio, container.record.config["process"])
        container.ended.add_done_callback(lambda status: self._ended(container.id, status.result()))
        return running

    def _mind(self, key: str, stdio: Stdio, process: spec.Config) -> Running:
        """Read what a program says from now on."""
        self._sweep()
        if key in self._running:  # started again
            self._drop(key)
        size = process["consoleSize"]
        pumps = {
            name: Pump(f"{key}:{name}", console, size["height"], size["width"], tty=name == TTY)
            for name, console in stdio.consoles.items()
        }
        running = self._running[key] = Running(pumps, Feed(stdio))
        for pump in pumps.values():
            self._terminals.keep(pump)
        return running

    def _attach(self, peer: Peer, running: Running) -> wire.Message:
        streams = {
            name: self._terminals.attach(peer, pump, 0, pump.rows, pump.cols, owner=True)
            for name, pump in running.pumps.items()
        }
        if peer not in self._swept_for:  # after `Terminals` has ended the peer's streams
            self._swept_for.add(peer)
            peer.on_close.append(lambda: self._gone(peer))
        return streams

    def _gone(self, peer: Peer) -> None:
        self._swept_for.discard(peer)
        self._sweep()

    def _ended(self, key: str, status: int) -> None:
        running = self._running.get(key)
        if running is not None:
            running.feed.close()
            for pump in running.pumps.values():
                pump.finish(status)

    def _exec_ended(self, container: Container, made: Exec, status: int) -> None:
        self._ended(made.id, exit_code(status))
        self._containers.forget_exec(container, made)

    def _sweep(self) -> None:
        """Let go of the output of programs that have ended and that nobody listens to."""
        for key, running in list(self._running.items()):
            ended = all(pump.exited is not None for pump in running.pumps.values())
            if ended and not any(self._terminals.followed(pump.id) for pump in running.pumps.values()):
                self._drop(key)

    def _drop(self, key: str) -> None:
        for pump in self._running.pop(key).pumps.values():
            self._terminals.drop(pump.id)
            pump.close()


def run_spec(values: dict[str, Any]) -> spec.RunSpec:
    """The `spec` of container.create as a RunSpec, every field checked for its type.

    Raises:
        BadInput: a field that does not exist, or is of another type.
    """
    known = {field.name for field in fields(spec.RunSpec)}
    for name in values:
        if name not in known:
            raise BadInput(f"There is no option {name[:64]!r}.", f"There are: {', '.join(sorted(known))}.")
    args = Args("container.create", values)
    wanted: dict[str, Any] = {
        "memory_bytes": args.optional_integer("memory_bytes", 0, 2**53),
        "pids": args.optional_integer("pids", -1, 2**22),
        "cpus": args.seconds("cpus", 1e6) if args.has("cpus") else None,
        "entrypoint": tuple(args.items("entrypoint", str, ARGUMENTS)) if args.has("entrypoint") else None,
        "rows": args.integer("rows", *ROWS, default=24),
        "cols": args.integer("cols", *COLS, default=80),
        "labels": args.mapping("labels"),
    }
    for name in ("args", "env", "cap_add", "cap_drop", "volumes"):
        wanted[name] = tuple(args.items(name, str, ARGUMENTS)) if args.has(name) else ()
    for name in ("name", "hostname", "user", "workdir"):
        wanted[name] = args.text(name, "", limit=ARGUMENTS)
    for name in ("readonly", "tty", "interactive", "remove", "no_new_privs"):
        wanted[name] = args.flag(name)
    return spec.RunSpec(image=args.text("image", limit=1024), network=args.text("network", "bridge"), **wanted)


def not_runnable(error: StepFailed, argv: list[str]) -> wire.Message:
    """What docker(1) answers when only the program itself could not be executed.

    Raises:
        StepFailed: it was another step.
    """
    if error.kind_of_step != "exec":
        raise error
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    why = "no such file, or not in $PATH" if missing else os.strerror(error.errno)
    return {
        "status": NOT_FOUND if missing else NOT_RUNNABLE,
        "message": f"The program {argv[0]!r} cannot be started: {why}.",
    }


def plan_in_words(container: Container, language: str) -> list[wire.Message]:
    """The steps of a container's last start, each with its sentence, manual page and the time it took."""
    assert container.plan is not None
    took = dict(container.times)
    return [
        {
            "kind": step.kind,
            "where": step.where,
            "man": words.WORDS[step.kind].man,
            "text": words.sentence(step.kind, step.args, language),
            "took_us": took[number] / 1000 if number in took else None,
        }
        for number, step in enumerate(container.plan.steps)
    ]


def summary(container: Container) -> wire.Message:
    """A container on one line of `hako ps`."""
    record = container.record
    return {
        "id": record.id,
        "name": record.name,
        "image": record.image,
        "args": record.config["process"]["args"],
        "state": record.state,
        "status": record.exit_code,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "ended_at": record.finished_at,
        "address": record.address,
    }
