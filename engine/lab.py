"""Labs: lab hosts with a life. A learner's machine is created, paused, reset and ended here.

States: `creating`, `ready`, `paused`, `ended` (with a reason). The plan is lab_plan.py's, the engine's steps of it are
lab_steps.py's; this file asks the zygote for the rest and undoes all of it; what runs in a lab is lab_shell.py's. When
the engine starts again, `recover` takes over every lab whose first process is still there, with its terminals, and
unmakes what is left of the others: no orphan survives.

A lab is always unmade in one order: its processes, its terminals, its link, its groups, its disk, and only when nothing
carries its ids any more, its block of ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import re
import secrets
import time
from collections.abc import Coroutine
from typing import Any

import structlog

from engine import lab_needs, lab_plan, lab_record, lab_shell, lab_steps
from engine.errors import BadInput, Conflict, EngineError, Exhausted, NotFound
from engine.images import shared
from engine.lab_inner import InnerEngine
from engine.lab_record import LabRecord, LabShape
from engine.lab_shell import Completed
from engine.lab_state import Lab
from engine.linux import idmap
from engine.runtime.machine import Machine
from engine.runtime.plan import Plan
from engine.runtime.process import Process, StepFailed
from engine.settings import Settings
from engine.storage.disk import LabDisks
from engine.terminal import Terminal

__all__ = ["Completed", "Lab", "LabShape", "Labs"]

log = structlog.get_logger(__name__)

#: How long a lab's processes may take to die, and its groups to be empty.
KILL_S = 5.0
#: Programs run at once in a lab by `run`: each holds some ten descriptors here and in the zygote.
PROGRAMS_MAX = 16
#: What of a lab's processes the learner's own may not take: room for the engine's helpers.
HELPER_PIDS = 64
#: The image whose programs are on the live CD's disc.
DISC_SYSTEM = "hako/mini"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Labs:
    """All labs of one engine."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self._settings, self._machine = settings, machine
        self._folder = settings.data / "labs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._disks = LabDisks(settings.data / "disks")
        self._blocks = idmap.BlockAllocator(settings.data / "ids.json", settings.id_base, settings.instance)
        self._all: dict[str, Lab] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._inner: dict[str, InnerEngine] = {}
        #: Settings of the labs' own engines (daemon_inner.py).
        self.inner_env: dict[str, str] = {}

    def get(self, lab_id: str) -> Lab:
        """A lab by its id.

        Raises:
            NotFound: there is none.
        """
        lab = self._all.get(lab_id)
        if lab is None:
            raise NotFound(f"There is no lab {lab_id!r}.", "It has ended, or was never made: start a new one.")
        return lab

    def all(self, owner: str | None = None) -> list[Lab]:
        """Labs, oldest first; those of one owner if named."""
        found = [lab for lab in self._all.values() if owner is None or lab.record.owner == owner]
        return sorted(found, key=lambda lab: lab.record.created_at)

    async def create(self, owner: str, shape: LabShape | None = None) -> Lab:
        """A new lab, ready for a shell.

        Raises:
            Exhausted: the machine has as many labs as it may, or no disk or ids left.
            Unsupported: this machine cannot make labs. StepFailed: a step did not work; nothing is left.
        """
        if len(self._all) >= self._settings.labs_max:
            text = f"All {self._settings.labs_max} labs are in use."
            raise Exhausted(text, "Try again when one has ended, or raise HAKO_LABS_MAX.")
        lab = Lab(LabRecord(secrets.token_hex(6), owner, shape or LabShape()))
        self._all[lab.id] = lab
        await self._whole(self._create(lab))
        return lab

    async def _create(self, lab: Lab) -> None:
        try:
            async with lab.lock:
                await self._make(lab)
        except BaseException as error:
            self._all.pop(lab.id, None)
            log.warning("lab_failed", lab=lab.id, error=str(error))
            raise

    async def _whole(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it carried out to its end, though who asked goes away half-way: a web server that dies cancels this."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    def touch(self, lab: Lab) -> None:
        """Somebody works in it: the idle time begins anew."""
        lab.ends_at = lab.record.created_at + self._settings.lab_life_s + lab.record.extended_s
        lab.idle_ends_at = min(time.time() + self._settings.lab_idle_s, lab.ends_at)

    def extend(self, lab: Lab, seconds: float) -> None:
        """Move its absolute end; in all by at most one more life.

        Raises:
            Exhausted: it was moved as far as it may.
        """
        left = self._settings.lab_life_s - lab.record.extended_s
        if left < 1:
            text = f"This lab was extended by {self._settings.lab_life_s} seconds already, which is all it may be."
            raise Exhausted(text, "Start a new one when it ends.")
        lab.record.extended_s += min(seconds, left)
        lab_record.save(self._folder, lab.record)
        self.touch(lab)

    async def _make(self, lab: Lab) -> None:
        """Take the plan's steps; on any failure take back what was done."""
        image = self._machine.images.get(lab.record.shape.image)
        lab.first_id = (await asyncio.to_thread(self._blocks.allocate, lab.id)).host_id
        settings = self._settings
        spec = lab_plan.LabSpec(
            lab=lab.id,
            layers=tuple(str(path) for path in image.layers),
            first_id=lab.first_id,
            hostname=lab.record.shape.hostname,
            memory_bytes=settings.lab_memory_bytes,
            cpus=settings.lab_cpus,
            pids=settings.lab_pids + HELPER_PIDS,
            disk_bytes=settings.lab_disk_bytes,
            kinds=lab_needs.kinds(),
            shared=tuple(shared.layers(self._machine.images)),
            disc=str(self._machine.images.get(DISC_SYSTEM).layers[0]) if lab.record.shape.disc else "",
        )
        lab_record.save(self._folder, lab.record)
        try:
            process = lab.process = await self._carry_out(lab, lab_plan.build(spec))
            outbound = lab.record.shape.outbound
            link = await self._machine.network.attach(lab.id, pid=process.pid, outbound=outbound)
            lab.record.link = link.link
        except BaseException as error:
            await self._unmake(lab)
            if isinstance(error, StepFailed) and (lacking := lab_needs.unsupported(error, platform.release())):
                raise lacking from error
            raise
        lab_record.save(self._folder, lab.record)
        lab.state, lab.reason = "ready", ""
        self.touch(lab)
        self._watch(lab, process)
        log.info("lab_ready", lab=lab.id, owner=lab.record.owner, ms=sum(took for _, took in lab.times) // 10**6)

    async def _carry_out(self, lab: Lab, plan: Plan) -> Process:
        """Take the engine's steps, each yielding a descriptor, then hand the rest to the zygote."""
        lab.times = []
        with contextlib.ExitStack() as opened:
            fds = await lab_steps.take(self._machine, self._disks, lab, plan, self._settings.lab_pids, opened)
            learnt = self._machine.learnt(plan, lab.group(self._machine, "payload"))
            info = {"kind": "lab", "lab": lab.id}
            process = await self._machine.zygote.start(lab.id, plan, fds, info=info, arguments=learnt)
            lab.times += [(number, took) for number, _, took in process.times]
            return process

    def _watch(self, lab: Lab, process: Process) -> None:
        """When its first process ends (a learner's `kill 1` switches a lab off), the lab ends."""

        def ended(_: asyncio.Future[int]) -> None:
            if lab.process is process and lab.state in ("ready", "paused"):
                task = asyncio.create_task(self.remove(lab, "its first process ended"))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

        process.status.add_done_callback(ended)
        inner = self._inner[lab.id] = InnerEngine(self._machine, lab, self.inner_env)
        inner.watch()

    async def terminal(
        self, lab: Lab, name: str, rows: int, cols: int, args: tuple[str, ...] = ("/bin/bash",), cwd: str = "/root"
    ) -> Terminal:
        """The lab's terminal of this name, opened if there is none or its shell has ended.

        Raises:
            BadInput: a name that is none. Conflict: the lab is not ready. Exhausted: it has as many as it may.
        """
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name!r} is not a terminal's name.", "Use up to 32 letters, digits and -.")
        async with lab.lock:
            known = lab.terminals.get(name)
            if known is not None and known.exited is None:
                return known
            if known is not None:
                self.close_terminal(lab, known)
            if len(lab.terminals) >= self._settings.terminals_per_lab:
                raise Exhausted(f"This lab has {len(lab.terminals)} terminals already.", "Close one.")
            lab.record.opened += 1
            lab_record.save(self._folder, lab.record)  # before the shell is there: no id may ever come twice
            key = f"{lab.id}.{lab.record.opened}.{name}"
            terminal = await lab_shell.open_terminal(self._machine, lab, key, name, (rows, cols), list(args), cwd)
            lab.terminals[name] = terminal
            return terminal

    def close_terminal(self, lab: Lab, terminal: Terminal) -> None:
        """Hang up: its shell is killed, and the kernel sends SIGHUP to its job when the master closes."""
        if lab.terminals.get(terminal.name) is terminal:
            del lab.terminals[terminal.name]
        terminal.close()
        self._machine.zygote.forget(terminal.process.key)

    async def run(
        self,
        lab: Lab,
        args: list[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 30.0,
        env: dict[str, str] | None = None,
    ) -> Completed:
        """Run a program in the lab and collect what it prints; what it leaves running goes on.

        Raises:
            Conflict: the lab is not ready. Exhausted: it runs as many as it may. StepFailed: it could not be started.
        """
        if lab.programs >= PROGRAMS_MAX:
            raise Exhausted(f"{lab.programs} programs run in this lab for its page already.", "Wait for one to end.")
        key = f"{lab.id}.run.{secrets.token_hex(4)}"
        lab.programs += 1
        try:
            return await lab_shell.run(self._machine, lab, key, args, stdin, timeout_s, env or {})
        finally:
            lab.programs -= 1

    async def pause(self, lab: Lab) -> None:
        """Stop every process of the learner's where it is.

        Raises:
            Conflict: it is not ready.
        """
        await self._whole(self._pause(lab))

    async def _pause(self, lab: Lab) -> None:
        async with lab.lock:
            if lab.state != "ready":
                raise Conflict(f"The lab is {lab.state}, it cannot be paused.")
            await asyncio.to_thread(lab.group(self._machine, "payload").freeze)
            lab.state = "paused"

    async def resume(self, lab: Lab) -> None:
        """Let them go on.

        Raises:
            Conflict: it is not paused.
        """
        async with lab.lock:
            if lab.state != "paused":
                raise Conflict(f"The lab is {lab.state}, not paused.")
            lab.group(self._machine, "payload").thaw()
            lab.state = "ready"
            self.touch(lab)

    async def reset(self, lab: Lab) -> None:
        """The same lab afresh: new disk, new processes, no terminals. Its times go on.

        Raises:
            Conflict: it has ended. StepFailed: it could not be made again, and has ended.
        """
        await self._whole(self._reset(lab))

    async def _reset(self, lab: Lab) -> None:
        async with lab.lock:
            if lab.state == "ended":
                raise Conflict("The lab has ended.", "Start a new one.")
            lab.state, lab.reason = "creating", "reset"
            try:
                await self._unmake(lab)
                await self._make(lab)
            except BaseException:
                lab.state, lab.reason = "ended", "it could not be made again"
                self._all.pop(lab.id, None)
                raise

    async def remove(self, lab: Lab, reason: str = "removed") -> None:
        """End a lab and delete all of it; again is no error."""
        await self._whole(self._remove(lab, reason))

    async def _remove(self, lab: Lab, reason: str) -> None:
        async with lab.lock:
            if lab.state == "ended":
                return
            lab.state, lab.reason = "ended", reason
            self._all.pop(lab.id, None)
            await self._unmake(lab)
            log.info("lab_ended", lab=lab.id, reason=reason)

    async def _unmake(self, lab: Lab) -> None:
        """In the order of the module's docstring; what is not there is skipped, so it also clears up failures."""
        group = lab.group(self._machine)
        inner = self._inner.pop(lab.id, None)
        if inner is not None:
            inner.close()
            self._machine.zygote.forget(inner.key)
        if group.exists():
            await asyncio.to_thread(group.kill)
        for terminal in list(lab.terminals.values()):
            self.close_terminal(lab, terminal)
        if lab.process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_S):
                    await asyncio.shield(lab.process.status)
            self._machine.zygote.forget(lab.process.key)
            lab.process = None
        if lab.record.link:
            self._machine.network.release(lab.record.link)
            lab.record.link = ""
        if group.exists():
            await asyncio.to_thread(group.remove, KILL_S)
        await asyncio.to_thread(self._disks.destroy, lab.id)
        await asyncio.to_thread(self._blocks.release, lab.id)
        lab_record.delete(self._folder, lab.id)

    async def recover(self, found: list[Process]) -> None:
        """Take over what an earlier daemon left; unmake what has no process any more."""
        running = {each.key: each for each in found if each.running}
        for written in lab_record.load_all(self._folder):
            try:
                await self._recover_lab(Lab(written), running.get(written.id))
            except (OSError, EngineError) as error:  # one lab that cannot be cleared away must not keep the engine down
                log.warning("lab_not_recovered", lab=written.id, error=str(error))
        for process in found:
            self._recover_program(process)
        self._disks.sweep(list(self._all))

    async def _recover_lab(self, lab: Lab, process: Process | None) -> None:
        if process is None:
            await self._unmake(lab)
            log.info("lab_ended", lab=lab.id, reason="its processes were gone when the engine started")
            return
        lab.process = process
        lab.first_id = (await asyncio.to_thread(self._blocks.allocate, lab.id)).host_id
        lab.state = "paused" if lab.group(self._machine, "payload").frozen() else "ready"
        if link := lab.record.link:
            await self._machine.network.adopt_lab(lab.id, link, outbound=lab.record.shape.outbound)
        self._all[lab.id] = lab
        self.touch(lab)
        self._watch(lab, process)

    def _recover_program(self, process: Process) -> None:
        """Take a terminal back with its ring, also one whose shell has ended: its last words and its exit code are in
        it. Let go of what belongs to no lab any more.
        """
        kind, lab = process.info.get("kind"), self._all.get(process.info.get("lab", ""))
        if kind == "terminal" and lab is not None:
            terminal = lab_shell.restore_terminal(lab, process)
            # Not a byte more until its page is back or given up (api/streams.py): it would overrun what the page lacks.
            terminal.read_until(terminal.offset)
            lab.terminals[terminal.name] = terminal
        elif kind == "engine" and lab is not None and process.running:
            self._inner[lab.id].adopt(process)
        elif kind in ("terminal", "run", "engine") or (kind == "lab" and lab is None):
            self._machine.zygote.forget(process.key)

    def let_go(self) -> None:
        """Watch no lab's socket any more: this daemon ends, and the labs go on."""
        for inner in self._inner.values():
            inner.close()
        self._inner.clear()

    async def close(self) -> None:
        """End every lab: the engine is being stopped for good, not restarted."""
        for lab in list(self._all.values()):
            try:
                await self.remove(lab, "the engine was stopped")
            except (EngineError, OSError) as error:
                log.warning("lab_cleanup_failed", lab=lab.id, error=str(error))
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)
