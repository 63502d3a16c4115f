"""One child of the supervisor: started with its own privileges, its lines printed under its name, ended in order.

setpriv(1) stands between fork and program, so that the supervisor needs no code of its own there: it makes the kernel
end the child when the supervisor dies, however that happens (PR_SET_PDEATHSIG), and takes the privileges away from a
child that needs none. Children get a session of their own: a Ctrl-C in the terminal is for the supervisor alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LINE_LIMIT = 64 * 1024
LAST_LINES = 15


@dataclass(frozen=True)
class Program:
    """What to start and how.

    `user`: run as this user and its group, without any capability and without a way to get one; "" keeps root.
    `says_ready`: it prints a line "ready" on stdout when it is; else it counts as ready at once.
    `death`: the signal the kernel sends it when the supervisor dies.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    user: str = ""
    says_ready: bool = True
    death: str = "TERM"

    def command(self) -> list[str]:
        """The whole command line, setpriv(1) first."""
        command = ["setpriv", "--pdeathsig", self.death]
        if self.user:
            command += ["--reuid", self.user, "--regid", self.user, "--clear-groups"]
            command += ["--no-new-privs", "--inh-caps", "-all", "--bounding-set", "-all"]
        return [*command, "--", *self.argv]


class Child:
    """A running program.

    Args:
        say: prints a line under a name.
        inherit: descriptors it gets besides stdin, stdout and stderr, under the same numbers.
    """

    def __init__(self, program: Program, say: Callable[[str, str], None], inherit: tuple[int, ...] = ()) -> None:
        self.program = program
        self._inherit = inherit
        self.ready = asyncio.Event()
        self.last_lines: list[str] = []
        self.started = time.monotonic()
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start it. Raises OSError when setpriv(1) is missing or the machine is out of processes."""
        self._process = await asyncio.create_subprocess_exec(
            *self.program.command(),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.program.env} if self.program.env else {},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=self._inherit,
            limit=LINE_LIMIT,
        )
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            self._readers.append(asyncio.create_task(self._read(stream)))
        if not self.program.says_ready:
            self.ready.set()

    @property
    def pid(self) -> int:
        """Its process number (that of setpriv, which becomes the program)."""
        assert self._process is not None
        return self._process.pid

    async def wait(self) -> int:
        """Its exit status, minus the signal where one ended it."""
        assert self._process is not None
        status = await self._process.wait()
        # A grandchild may hold the pipes open for longer than it lives.
        await asyncio.wait(self._readers, timeout=0.5)
        for reader in self._readers:
            reader.cancel()
        return status

    async def stop(self, signum: signal.Signals, seconds: float) -> bool:
        """Ask it to end, and after `seconds` make it. Returns whether it ended by itself."""
        if self._process is None or self._process.returncode is not None:
            return True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)
        try:
            await asyncio.wait_for(self.wait(), seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.wait()
            return False
        return True

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than LINE_LIMIT: the reader has thrown it away
                self._say(self.program.name, "(a line too long to print)")
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text == "ready" and not self.ready.is_set():
                self.ready.set()
                continue
            self.last_lines = [*self.last_lines, text][-LAST_LINES:]
            self._say(self.program.name, text)


def describe(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def printer() -> Callable[[str, str], None]:
    """A function that prints a line under a name, in colour where a person looks."""
    colours = {"zygote": 35, "engine": 36, "web": 34, "hako": 1}
    fancy = sys.stdout.isatty()

    def say(name: str, text: str) -> None:
        label = f"{name:>6} │ "
        if fancy:
            label = f"\x1b[{colours.get(name, 0)}m{label}\x1b[0m"
        print(label + text, flush=True)

    return say
