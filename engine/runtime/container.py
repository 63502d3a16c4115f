"""Containers: create, start, exec, signal, pause, remove; and finding them again after a restart.

A container is a directory, a record and, while it runs, a process of the zygote's. `create` only writes down what was
asked for; `start` builds the plan (plan.py), takes the engine's steps and has the zygote take the rest. Whatever a
start made is listed in the record's `made`, in order, and `_dismantle` unmakes just that, last first: after a failure
half-way, after the program has ended, and for what an earlier daemon left behind. Life cycle: `created`, `running`,
`paused`, `exited` (OCI runtime-spec, runtime.md; Docker's words for the last two).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from engine.errors import Conflict, EngineError, NotFound
from engine.linux import capabilities, cgroups
from engine.runtime import files as files_of
from engine.runtime import logs, record, spec, stdio
from engine.runtime import plan as plans
from engine.runtime import process as processes
from engine.runtime.machine import Machine
from engine.runtime.plan import Plan
from engine.runtime.process import Process
from engine.runtime.record import Record

log = structlog.get_logger(__name__)

#: How long the processes of a removed container may take to die.
KILL_S = 5.0


@dataclass
class Container:
    """A container as the daemon has it.

    `times` are (step number, nanoseconds) of the last start, `moments` step number -> (begun, took) in monotonic
    nanoseconds; `ended` completes with the exit code.
    """

    record: Record
    plan: Plan | None = None
    process: Process | None = None
    stdio: stdio.Stdio | None = None
    moments: dict[int, tuple[int, int]] = field(default_factory=dict)
    execs: dict[str, Exec] = field(default_factory=dict)
    ended: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def times(self) -> list[tuple[int, int]]:
        return [(number, took) for number, (_, took) in self.moments.items()]


@dataclass
class Exec:
    """One more process in a running container."""

    id: str
    process: Process
    stdio: stdio.Stdio


class Containers:
    """All containers of one engine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._root = machine.data / "containers"
        self._all: dict[str, Container] = {}
        self._janitor: set[asyncio.Task[None]] = set()

    def all(self) -> list[Container]:
        """All, oldest first."""
        return sorted(self._all.values(), key=lambda each: each.record.created_at)

    def get(self, word: str) -> Container:
        """By id, name or the beginning of an id.

        Raises:
            NotFound: none. Conflict: the beginning fits several.
        """
        found = [each for each in self._all.values() if word in (each.id, each.record.name)]
        found = found or [each for each in self._all.values() if len(word) >= 2 and each.id.startswith(word)]
        if not found:
            raise NotFound(f"There is no container {word!r}.", "`hako ps --all` lists them.")
        if len(found) > 1:
            raise Conflict(f"{word!r} begins the ids of {len(found)} containers.", "Write more of it.")
        return found[0]

    async def create(self, run: spec.RunSpec) -> Container:
        """Write down a container.

        Raises:
            BadInput: an option is wrong. NotFound: no such image. Conflict: the name is taken.
        """
        image = self._machine.images.get(run.image)
        container_id = secrets.token_hex(32)
        name = spec.check_name(run.name) if run.name else f"hako-{container_id[:8]}"
        if any(each.record.name == name for each in self._all.values()):
            raise Conflict(f"The name {name!r} is taken.", f"Choose another, or remove it: hako rm {name}.")
        run = replace(run, name=name)
        config = spec.config(run, image.config.get("config") or {}, container_id, capabilities.held())
        config["network"] = run.network
        folder = self._root / container_id
        for part in ("upper", "work", "etc"):
            (folder / part).mkdir(parents=True, mode=0o755)
        written = Record(container_id, name, run.image, [str(path) for path in image.layers], config, remove=run.remove)
        record.save(folder, written)
        container = Container(written)
        self._all[container_id] = container
        return container

    async def start(self, container: Container, *, interactive: bool = False) -> Container:
        """Run it.

        Raises:
            Conflict: it runs already. StepFailed: a step did not work; what was made is unmade.
        """
        if container.record.made:  # its last run is just being cleared away
            await asyncio.gather(*self._janitor, return_exceptions=True)
        if container.record.state in ("starting", "running", "paused"):
            raise Conflict(f"Container {container.record.name} is {container.record.state}.", "Stop it first.")
        folder = self._root / container.id
        files = files_of.write(folder / "etc", container.record.config["hostname"])
        storage = plans.Storage(tuple(container.record.layers), str(folder / "upper"), str(folder / "work"))
        container.plan = plans.container(container.record.config, storage, files, inside=self._machine.inside)
        container.ended = asyncio.get_running_loop().create_future()
        if container.stdio is not None:  # of its last run
            container.stdio.close()
            container.stdio = None
        container.record = replace(container.record, made=[], state="starting", exit_code=None)
        try:
            await self._carry_out(container, interactive)
        except BaseException:
            await self._dismantle(container)
            container.record = replace(container.record, state="created")
            raise
        container.record = replace(container.record, state="running", started_at=time.time())
        record.save(folder, container.record)
        self._watch(container)
        return container

    async def _carry_out(self, container: Container, interactive: bool) -> None:
        """Take the engine's steps, then hand the rest to the zygote."""
        plan, config = container.plan, container.record.config
        assert plan is not None
        with contextlib.ExitStack() as opened:
            fds: dict[str, int] = {}
            container.moments = {}
            for number, step in plan.numbered("engine"):
                begun = time.monotonic_ns()
                container.record.made.append(step.kind)
                await self._engine_step(container, step, fds, opened)
                container.moments[number] = (begun, time.monotonic_ns() - begun)
            files_of.open_sources(plan, fds, opened)
            tty = config["process"]["terminal"]
            with stdio.prepare(tty=tty, interactive=interactive) as prepared:
                started = await self._machine.zygote.start(
                    container.id,
                    plan,
                    {**fds, **prepared.fds},
                    keep=tuple(prepared.kept),
                    info={"kind": "container", "id": container.id},
                    arguments=self._machine.learnt(plan, self._group(container)),
                )
                container.process = started
                container.stdio = self._finish_stdio(prepared.finish(started.fds), container.id)
            container.moments |= {number: (begun, took) for number, begun, took in started.times}

    def _finish_stdio(self, streams: stdio.Stdio, key: str) -> stdio.Stdio:
        streams.on_stdin_closed = lambda: self._machine.zygote.let_go(key, stdio.STDIN)
        return streams

    async def _engine_step(
        self, container: Container, step: plans.Step, fds: dict[str, int], opened: contextlib.ExitStack
    ) -> None:
        """Take one engine step; the descriptor it yields is closed with `opened`, when the child has its own."""
        if step.kind == "create_cgroup":
            limits = cgroups.Limits(**{key: value for key, value in step.args["limits"].items() if value is not None})
            group = self._machine.groups.create(step.args["path"], limits)
            if step.args["devices"]:
                group.allow_devices(tuple(step.args["devices"]))
            if (cgroup := group.open_fd()) >= 0:
                fds["cgroup"] = cgroup
                opened.callback(os.close, cgroup)
        elif step.kind == "union_mount":
            lower = [Path(path) for path in step.args["lower"]]
            driver, place = self._machine.union, (lower, Path(step.args["upper"]), Path(step.args["work"]))
            fds["rootfs"] = await asyncio.to_thread(driver.mount, *place) if driver.slow else driver.mount(*place)
            opened.callback(os.close, fds["rootfs"])
        elif step.kind == "network":
            lease = await self._machine.network.lease()
            container.record = replace(container.record, link=lease.link, address=str(lease.address.ip))
            opened.callback(lease.close)
            assert lease.netns_fd is not None
            fds["netns"] = lease.netns_fd

    def _group(self, container: Container) -> cgroups.Group:
        name = container.record.config["linux"]["cgroupsPath"]
        return cgroups.Group(self._machine.groups.hierarchy, self._machine.groups.instance, name)

    def _watch(self, container: Container) -> None:
        assert container.process is not None
        container.process.status.add_done_callback(lambda status: self._later(self._finish(container, status.result())))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._janitor.add(task)
        task.add_done_callback(self._janitor.discard)

    async def _finish(self, container: Container, status: int) -> None:
        """The program has ended: tell who waits at once, then clear away."""
        code = processes.exit_code(status)
        container.record = replace(container.record, state="exited", exit_code=code, finished_at=time.time())
        if container.stdio is not None:
            container.stdio.drain()
        if not container.ended.done():
            container.ended.set_result(code)
        log.info("container_exited", container=container.id[:12], code=code)
        try:
            await self._dismantle(container)
            folder = self._root / container.id
            if folder.exists():
                logs.save(folder, container.stdio)
                record.save(folder, container.record)
            if container.record.remove:
                await self.remove(container)
        except (OSError, EngineError) as error:
            log.warning("container_cleanup_failed", container=container.id[:12], error=str(error))

    async def _dismantle(self, container: Container) -> None:
        """Unmake what a start made, last first; each part again is no error."""
        for each in container.execs.values():
            self._machine.zygote.forget(each.process.key)
        container.execs.clear()
        if container.process is not None:
            self._machine.zygote.forget(container.process.key)
            container.process = None
        for kind in reversed(container.record.made):
            if kind == "network" and container.record.link:
                self._machine.network.release(container.record.link)
            elif kind == "create_cgroup":
                group = self._group(container)
                group.kill()
                await asyncio.to_thread(group.remove, KILL_S)
        container.record = replace(container.record, made=[], link="")

    async def exec(self, container: Container, process: spec.Config, *, interactive: bool = False) -> Exec:
        """Run one more process in a running container.

        Args:
            process: the OCI `process` object; spec.exec_process makes it.

        Raises:
            Conflict: it does not run. StepFailed: a step did not work.
        """
        main = container.process
        if container.record.state != "running" or main is None:
            raise Conflict(f"Container {container.record.name} is {container.record.state}.", "Start it first.")
        config = container.record.config
        kinds = [entry["type"] for entry in config["linux"]["namespaces"]]
        plan = plans.enter(kinds, process, config["linux"]["seccomp"], container.id)
        key = f"{container.id}.{secrets.token_hex(4)}"
        group = self._group(container)
        with (
            contextlib.ExitStack() as opened,
            stdio.prepare(tty=process["terminal"], interactive=interactive) as prepared,
        ):
            fds = {"target": main.pidfd, **prepared.fds}
            if "ptmx" in main.fds:
                fds["ptmx"] = main.fds["ptmx"]
            if (cgroup := group.open_fd()) >= 0:
                fds["cgroup"] = cgroup
                opened.callback(os.close, cgroup)
            info = {"kind": "exec", "id": container.id}
            started = await self._machine.zygote.start(
                key, plan, fds, keep=tuple(prepared.kept), info=info, arguments=self._machine.learnt(plan, group)
            )
            made = Exec(key, started, self._finish_stdio(prepared.finish(started.fds), key))
        container.execs[key] = made
        return made

    def output(self, container: Container, start: dict[str, int], limit: int) -> dict[str, tuple[int, bytes]]:
        """What it said in its last run; see logs.read."""
        return logs.read(self._root / container.id, container.stdio, start, limit)

    def forget_exec(self, container: Container, made: Exec) -> None:
        """Let go of an exec whose end was seen."""
        if container.execs.pop(made.id, None) is not None:
            made.stdio.close()
            self._machine.zygote.forget(made.id)

    def signal(self, container: Container, signum: int) -> None:
        """Send a signal to its first process.

        Raises:
            Conflict: it does not run.
        """
        if container.process is None or not container.process.running:
            raise Conflict(f"Container {container.record.name} is not running.")
        container.process.signal(signum)

    async def pause(self, container: Container) -> None:
        """Freeze all its processes; see cgroups(7), the freezer."""
        if container.record.state != "running":
            raise Conflict(f"Container {container.record.name} is {container.record.state}, not running.")
        await asyncio.to_thread(self._group(container).freeze)
        container.record = replace(container.record, state="paused")

    async def resume(self, container: Container) -> None:
        """Let them go on."""
        if container.record.state != "paused":
            raise Conflict(f"Container {container.record.name} is {container.record.state}, not paused.")
        self._group(container).thaw()
        container.record = replace(container.record, state="running")

    async def remove(self, container: Container, *, force: bool = False) -> None:
        """Delete it and its files.

        Raises:
            Conflict: it runs and `force` is not set.
        """
        if container.record.state in ("starting", "running", "paused"):
            if not force or container.record.state == "starting":
                raise Conflict(f"Container {container.record.name} is running.", "Stop it, or use --force.")
            if container.record.state == "paused":
                await self.resume(container)
            self._group(container).kill()
            async with asyncio.timeout(KILL_S):
                await asyncio.shield(container.ended)
            await self._dismantle(container)
        self._all.pop(container.id, None)
        if container.stdio is not None:
            container.stdio.close()
            container.stdio = None
        await asyncio.to_thread(shutil.rmtree, self._root / container.id, True)

    async def recover(self, found: list[Process]) -> None:
        """Take over what an earlier daemon left: records from disk, processes from the zygote.

        A container whose process is gone with the zygote is `exited` with 137, and what it had made is unmade.
        """
        mine = {each.key: each for each in found if each.info.get("kind") == "container"}
        for folder in sorted(self._root.glob("*")):
            written = record.load(folder)
            if written is None:
                continue
            container = Container(written)
            self._all[written.id] = container
            process = mine.get(written.id)
            if process is not None:
                container.process = process
                container.stdio = self._finish_stdio(stdio.restore(process.fds), container.id)
                if written.link:
                    self._machine.network.adopt_container(written.link)
                container.record = replace(written, state="running")
                self._watch(container)
            elif written.state in ("running", "paused", "created") and written.made:
                await self._finish(container, 9)
        for each in found:
            if each.info.get("kind") == "exec":
                self._machine.zygote.forget(each.key)

    async def close(self) -> None:
        """Wait for the clearing away that is under way."""
        while self._janitor:
            await asyncio.gather(*self._janitor, return_exceptions=True)
