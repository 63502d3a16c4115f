"""Moves bytes between a program and its ring on the daemon's loop: reads a console as far as allowed, feeds its input.

A console is read only when its file descriptor is readable and only up to the offset `read_until` allows; with no room
the descriptor is not watched at all, and the kernel puts the writer to sleep. Input is taken piece by piece: whoever
feeds waits until the program's terminal or pipe took all, so nothing piles up here.

A pump has its own mapping of the ring: the last output of a container that was removed at its end (`--rm`) can still be
sent. What is sent to whom is not decided here (`streams.py`, `terminals.py`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from engine.errors import Conflict
from engine.runtime.console import CAPACITY, Console, Ring
from engine.runtime.stdio import TTY, Stdio

PIECE = 32 * 1024


class Pump:
    """One output: a terminal, a stdout or a stderr. It is a `Tty` of `terminals.py`."""

    def __init__(self, id: str, console: Console, rows: int = 24, cols: int = 80, *, tty: bool = True) -> None:
        self.id = id
        self.rows, self.cols = rows, cols
        self.exited: int | None = None
        self.closed = False
        self.ring_size = CAPACITY
        self._tty = tty
        self._console: Console | None = console
        self._ring = Ring(os.dup(console.ring.fd))
        self._loop = asyncio.get_running_loop()
        self._until: int | None = None
        self._watching = False
        self._listeners: list[Callable[[], None]] = []
        self._govern()

    @property
    def offset(self) -> int:
        """Offset after the newest byte."""
        return self._ring.head

    @property
    def ring_start(self) -> int:
        """Offset of the oldest byte kept."""
        return self._ring.start

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """At most `limit` bytes from `offset` on, or from the oldest kept."""
        start = max(offset, self._ring.start)
        return start, self._ring.read(start, start + limit)

    def read_until(self, offset: int | None) -> None:
        """Read the program's output up to this offset and no further; None: without bound."""
        self._until = offset
        self._govern()

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` when there is more, or it has ended. Returns how to stop that."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def resize(self, rows: int, cols: int) -> None:
        """Give a terminal its size."""
        if self._tty and self._console is not None:
            self._console.resize(rows, cols)
            self.rows, self.cols = rows, cols

    def finish(self, status: int) -> None:
        """The program has ended: take what it left, let go of the console, and tell."""
        if self._console is not None:
            self._console.drain()
            self._console.ended = True
            self._govern()
            self._console = None
        self.exited = status
        self._tell()

    def close(self) -> None:
        """Let go of everything; the console itself is its owner's to close."""
        self.closed = True
        if self._console is not None:
            self._until = 0
            self._govern()
            self._console = None
        self._ring.close()

    def _govern(self) -> None:
        console = self._console
        if console is None:
            return
        wanted = not console.ended and (self._until is None or self._until > self.offset)
        if wanted != self._watching:
            self._watching = wanted
            if wanted:
                self._loop.add_reader(console.source, self._readable)
            else:
                self._loop.remove_reader(console.source)

    def _readable(self) -> None:
        if self._console is None:
            return
        self._console.pump(PIECE if self._until is None else min(PIECE, self._until - self.offset))
        self._govern()
        self._tell()

    def _tell(self) -> None:
        for changed in list(self._listeners):
            changed()


class Feed:
    """A program's input: its terminal, or its stdin."""

    def __init__(self, stdio: Stdio) -> None:
        self._stdio = stdio
        self._turn = asyncio.Lock()  # waiters go first come, first served: order is kept
        self._closed = False

    async def write(self, data: bytes) -> None:
        """Write all of it; comes back when the kernel has taken it.

        Raises:
            Conflict: the program has closed its input, has ended, or was given none.
        """
        async with self._turn:
            console = self._stdio.consoles.get(TTY)
            if console is not None:
                taken = console.write(data)
                while not taken and not self._closed:
                    await self._writable(console.source)
                    taken = console.flush()
                return
            rest = memoryview(data)
            while rest:
                if self._stdio.stdin < 0 or self._closed:
                    raise Conflict("The program takes no input.", "Give it some with --interactive.")
                rest = self._stdio.put(rest)
                if rest and self._stdio.stdin >= 0:
                    await self._writable(self._stdio.stdin)

    async def end(self) -> None:
        """No more input comes: end of file for a pipe, Ctrl-D for a terminal."""
        async with self._turn:
            if TTY in self._stdio.consoles:
                self._stdio.consoles[TTY].write(b"\x04")
            else:
                self._stdio.close_stdin()

    def close(self) -> None:
        """The program has ended; who waits to write is let go."""
        self._closed = True

    async def _writable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(fd, _settle, ready)
        try:
            await asyncio.wait_for(ready, 1.0)  # looks again now and then: a program that ended wakes nobody
        except TimeoutError:
            pass
        finally:
            loop.remove_writer(fd)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
