"""The lab's own engine, from outside: started in the lab when somebody there connects to its socket (sd_listen_fds(3)).

The socket is made in the lab, by the lab's first process (runtime/rootfs.py, `listen`), and kept by the zygote. This
daemon only watches it: a connection that waits makes it readable. Then `engine/daemon_inner.py` is started in the lab
as any program of the learner's, in the learner's own group, and gets the socket at descriptor 3. It accepts; the host's
engine never does, and its own sockets are nowhere in the lab. When that process has ended, because nobody needed it for
a while or because the learner killed it, the socket is watched again.

A learner can have it start and die in a loop, so a start that did not last makes the next one wait.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from engine import lab_plan, lab_shell
from engine.errors import EngineError
from engine.images import shared
from engine.lab_state import Lab
from engine.runtime.machine import Machine
from engine.runtime.process import Process

log = structlog.get_logger(__name__)

PROGRAM = ["/usr/bin/python3", "-I", "-m", "engine.daemon_inner"]
LISTENER = "listener"
#: A start that lasted less than this is followed by a pause: the first of PAUSES_S, then the next. One that ended well,
#: being idle, need not have lasted as long.
STEADY_S, IDLE_S = 5.0, 1.0
PAUSES_S = (0.2, 1.0, 5.0, 30.0)


@dataclass
class _Handed:
    """The descriptors the inner engine gets; nothing of them is kept for it."""

    fds: dict[str, int]
    kept: dict[str, int] = field(default_factory=dict)


class InnerEngine:
    """Starts the lab's own engine when it is called for. Of the loop's thread only.

    Args:
        env: settings of the inner engine, `HAKO_…`.
    """

    def __init__(self, machine: Machine, lab: Lab, env: dict[str, str] | None = None) -> None:
        self._machine, self._lab, self._env = machine, lab, env or {}
        self._loop = asyncio.get_running_loop()
        self._watched = -1
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._failures = 0
        self.process: Process | None = None

    @property
    def key(self) -> str:
        """Its name with the zygote."""
        return f"{self._lab.id}.engine"

    def watch(self) -> None:
        """Wait for a connection."""
        process = self._lab.process
        if self._closed or self._watched >= 0 or process is None or LISTENER not in process.fds:
            return
        self._watched = process.fds[LISTENER]
        self._loop.add_reader(self._watched, self._called)

    def adopt(self, process: Process) -> None:
        """Take over the one that an earlier daemon started."""
        self._unwatch()
        self.process = process
        began = time.monotonic()
        process.status.add_done_callback(lambda status: self._ended(began, status.result()))

    def close(self) -> None:
        """The lab is being unmade, or this daemon ends: watch no more."""
        self._closed = True
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._watched = -1

    def _called(self) -> None:
        self._unwatch()
        if self._lab.state != "ready":  # paused: whoever connects is frozen too, and waits
            self._again(1.0)
        else:
            self._task = self._loop.create_task(self._start())

    def _again(self, pause_s: float) -> None:
        if not self._closed:
            self._timer = self._loop.call_later(pause_s, self.watch)

    async def _start(self) -> None:
        began = time.monotonic()
        env = {**lab_shell.ENV, **self._env, "HAKO_SHARED": shared.export(self._machine.images)}
        program = {**lab_plan.process(PROGRAM, env), "listen": [LISTENER]}
        info = {"kind": "engine", "lab": self._lab.id}
        try:
            assert self._lab.process is not None
            handed = _Handed({LISTENER: self._lab.process.fds[LISTENER]})
            process = await lab_shell.enter(self._machine, self._lab, self.key, program, handed, info)
        except (EngineError, OSError) as error:
            log.warning("inner_engine_failed", lab=self._lab.id, error=str(error))
            self._ended(began, 1)
            return
        if self._closed:
            self._machine.zygote.forget(self.key)
            return
        self.process = process
        log.info("inner_engine_started", lab=self._lab.id, ms=int((time.monotonic() - began) * 1000))
        process.status.add_done_callback(lambda status: self._ended(began, status.result()))

    def _ended(self, began: float, status: int) -> None:
        """It is gone; what it ran goes on under its own zygote, until the next one finds it."""
        if self.process is not None:
            self._machine.zygote.forget(self.key)
            self.process = None
        if time.monotonic() - began >= (IDLE_S if status == 0 else STEADY_S):
            self._failures = 0
            self._again(0)
            return
        self._again(PAUSES_S[min(self._failures, len(PAUSES_S) - 1)])
        self._failures += 1
