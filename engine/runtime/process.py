"""The daemon's end of the zygote: start a process by a plan, hear how it ends, find it again after a restart.

One asyncio connection, requests answered by key. A started process is a `Process`: its number, a pidfd to signal it
with (a number may be given to somebody else, a pidfd may not; pidfd_open(2)), the descriptors the zygote keeps for
it, and a future of its wait status. The zygote, not this, is its parent: when this daemon dies nothing happens to it.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import os
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BadInput, Failed
from engine.linux import syscalls
from engine.runtime import channel
from engine.runtime.plan import Plan

#: A start that takes longer has hung in the kernel; its processes are killed (zygote.py).
DEADLINE_S = 10.0


class StepFailed(Failed):
    """A step of a plan did not work: `step` is its number, `errno` the kernel's."""

    def __init__(self, plan: Plan, step: int, number: int, text: str) -> None:
        kind = plan.steps[step].kind if 0 <= step < len(plan.steps) else "start"
        super().__init__(f"Step {step + 1} ({kind}) failed: {text}.")
        self.step, self.kind_of_step, self.errno, self.text = step, kind, number, text


@dataclass
class Process:
    """A process the zygote started.

    Attributes:
        key: its name with the zygote; also the name of the file with its exit status.
        fds: what is kept for it, by name; this daemon's own copies.
        times: (step, begun, took) in monotonic nanoseconds, of the zygote's and the child's steps.
        status: completes with the wait status (wait(2)) when it has ended.
    """

    key: str
    pid: int
    pidfd: int
    info: dict[str, Any]
    fds: dict[str, int] = field(default_factory=dict)
    times: list[tuple[int, int, int]] = field(default_factory=list)
    status: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, as far as was heard."""
        return not self.status.done()

    def signal(self, signum: int) -> None:
        """Send it a signal; one that has ended is left alone."""
        with contextlib.suppress(ProcessLookupError):
            syscalls.pidfd_send_signal(self.pidfd, signum)

    def close(self) -> None:
        """Close this daemon's copies of its descriptors."""
        for fd in (self.pidfd, *self.fds.values()):
            os.close(fd)
        self.fds.clear()


def exit_code(status: int) -> int:
    """A wait status as a shell shows it: the exit code, or 128 + the signal that ended it."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


class Zygote:
    """The connection. Use: `await connect()`, then `recover()` once, then `start`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._unsent: collections.deque[channel.Message] = collections.deque()
        self._waiting: dict[str, tuple[Plan, asyncio.Future[Process]]] = {}
        self._listed: asyncio.Future[list[Process]] | None = None
        self._found: list[Process] = []
        self._processes: dict[str, Process] = {}
        self.on_lost: Callable[[], None] = lambda: None

    async def connect(self) -> None:
        """Connect.

        Raises:
            Failed: no zygote listens there.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise Failed(f"No zygote at {self._path}: {error.strerror}.", "Start it with `hako up`.") from error
        sock.setblocking(False)
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    def close(self) -> None:
        """Leave; every process goes on."""
        if self._socket is not None:
            self._let_go_of_socket()
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    def end(self) -> None:
        """End the zygote itself, which takes with it whatever it still has; see SO_PEERCRED in unix(7)."""
        if self._socket is not None:
            size = struct.calcsize("3i")
            pid, _, _ = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
            self.on_lost = lambda: None
            os.kill(pid, signal.SIGTERM)

    async def recover(self) -> list[Process]:
        """Everything the zygote has, with its descriptors: what an earlier daemon left."""
        self._listed = asyncio.get_running_loop().create_future()
        self._found = []
        await self._send({"op": "list"}, {})
        async with asyncio.timeout(DEADLINE_S):
            return await self._listed

    async def start(
        self,
        key: str,
        plan: Plan,
        fds: dict[str, int],
        *,
        keep: tuple[str, ...] = (),
        info: dict[str, Any] | None = None,
        arguments: dict[int, dict[str, Any]] | None = None,
    ) -> Process:
        """Have the zygote carry out a plan's clone and child steps.

        Args:
            key: a name not used by a process that is not forgotten yet; it names a file.
            fds: descriptors the steps name; they stay the caller's. `cgroup` is for CLONE_INTO_CGROUP.
            keep: those of `fds` that the zygote shall keep for the process, besides what steps make.
            info: plain data to find again with `recover`.
            arguments: what was learnt since the plan was made, by step number.

        Returns:
            The process, its program running.

        Raises:
            StepFailed: a step failed; nothing of the process is left.
            Failed: the zygote is gone.
        """
        number, clone = plan.clone
        learnt = arguments or {}
        steps = [(index, step.kind, {**step.args, **learnt.get(index, {})}) for index, step in plan.numbered("child")]
        request = {
            "op": "start", "key": key, "clone_step": number, "kinds": clone.args["kinds"], "steps": steps,
            "keep": list(keep), "info": info or {}, "deadline_s": DEADLINE_S,
        }  # fmt: skip
        future: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (plan, future)
        try:
            await self._send(request, fds)
            async with asyncio.timeout(DEADLINE_S + 5):
                return await future
        except TimeoutError:
            text = f"The zygote did not answer about {key}."
            raise Failed(text, "Look at its log; restart with `hako up`.") from None
        finally:
            self._waiting.pop(key, None)

    def forget(self, key: str) -> None:
        """Let the zygote close what it keeps for a process (killing it if it still runs) and delete its status file."""
        process = self._processes.pop(key, None)
        if process is not None:
            process.close()
        self._post({"op": "forget", "key": key})

    def let_go(self, key: str, name: str) -> None:
        """Have the zygote close one descriptor it keeps for a process."""
        self._post({"op": "let_go", "key": key, "name": name})

    def _post(self, message: channel.Message) -> None:
        """Send without waiting; what the socket does not take now goes out when it does."""
        if self._socket is None:
            return
        self._unsent.append(message)
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        assert self._socket is not None
        while self._unsent:
            try:
                channel.send(self._socket, self._unsent[0])
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:  # the reader will see its end
                self._unsent.clear()
                break
            self._unsent.popleft()
        self._loop.remove_writer(self._socket)

    def _let_go_of_socket(self) -> None:
        assert self._socket is not None
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        self._unsent.clear()

    async def _send(self, message: channel.Message, fds: dict[str, int]) -> None:
        """Send; waits a little for a zygote whose socket is full, which is a sign of a burst, not of its end."""
        for _ in range(200):
            if self._socket is None:
                break
            try:
                if not self._unsent:  # else it would overtake them
                    channel.send(self._socket, message, fds)
                    return
            except BlockingIOError:
                pass
            except ValueError as error:
                raise BadInput("The program's arguments and environment are too long.", "Shorten them.") from error
            except OSError as error:
                raise Failed(f"The zygote is gone: {error.strerror}.", "Restart with `hako up`.") from error
            await asyncio.sleep(0.005)
        raise Failed("The zygote does not take requests.", "Restart with `hako up`.")

    def _read(self) -> None:
        while self._socket is not None:
            try:
                received = channel.receive(self._socket)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._lost()
                return
            self._heard(*received)

    def _lost(self) -> None:
        self._let_go_of_socket()
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(Failed("The zygote has died, and every container with it.", "Run `hako up`."))
        self.on_lost()

    def _heard(self, message: channel.Message, fds: dict[str, int]) -> None:
        op = message["op"]
        if op in ("started", "process"):
            process = Process(
                message["key"], message["pid"], fds.pop("pidfd"), message["info"], fds, message.get("times", [])
            )
            if message["status"] is not None:
                process.status.set_result(message["status"])
            self._processes[process.key] = process
            waiting = self._waiting.get(process.key)
            if op == "process":
                self._found.append(process)
            elif waiting is not None and not waiting[1].done():
                waiting[1].set_result(process)
            else:
                self.forget(process.key)  # whoever asked has given up
        elif op == "exited":
            known = self._processes.get(message["key"])
            if known is not None and not known.status.done():
                known.status.set_result(message["status"])
        elif op == "failed":
            waiting = self._waiting.get(message["key"])
            if waiting is not None and not waiting[1].done():
                plan, future = waiting
                number = message["errno"] or errno.EIO
                future.set_exception(StepFailed(plan, message["step"], number, message["text"]))
        elif op == "listed" and self._listed is not None and not self._listed.done():
            self._listed.set_result(self._found)
