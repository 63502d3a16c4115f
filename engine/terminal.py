"""A lab's terminal in the daemon: a shell, its console, and who wants to know when something came.

The pty is read only as far as somebody allows (`read_until`): when nobody reads on, the kernel puts the writer to
sleep, and that is all the back-pressure there is. Who gets which bytes is api/streams.py's; how they are kept,
console.py's.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from engine.runtime import process as processes
from engine.runtime.console import CAPACITY, Console
from engine.runtime.process import Process

#: Bytes moved from the kernel at one go: one message to a page, and other terminals wait no longer than this.
_CHUNK = 32 * 1024


class Terminal:
    """A shell in a lab and its pty.

    Args:
        id: unique for the life of the engine; a lab's reset makes new ones.
        lab: whose it is.
        name: what the lesson calls it.
        rows, cols: its size.
    """

    def __init__(self, id: str, lab: str, name: str, process: Process, console: Console, rows: int, cols: int) -> None:
        self.id, self.lab, self.name, self.process = id, lab, name, process
        self.rows, self.cols = rows, cols
        self._console = console
        self._bound: int | None = None
        self._watchers: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._reading = self._writing = False
        self._update()
        process.status.add_done_callback(lambda _: self._readable())

    @property
    def offset(self) -> int:
        """Bytes it has produced: the offset after the newest one."""
        return self._console.ring.head

    @property
    def ring_start(self) -> int:
        """Offset of the oldest byte kept."""
        return self._console.ring.start

    @property
    def ring_size(self) -> int:
        """How many bytes are kept."""
        return CAPACITY

    @property
    def master(self) -> int:
        """The pty's master, to ask for its foreground job (tcgetpgrp(3))."""
        return self._console.source

    @property
    def exited(self) -> int | None:
        """The shell's exit code once it has ended and its last bytes are here; None before."""
        if not self.process.status.done() or not (self._console.ended or not self._pending()):
            return None
        return processes.exit_code(self.process.status.result())

    @property
    def closed(self) -> bool:
        """Whether it was let go of: it was closed, or its lab was reset or has ended."""
        return self._bound == -1

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """Up to `limit` bytes from `offset` on, or from the oldest kept where that is later: (offset, bytes)."""
        start = max(offset, self.ring_start)
        return start, self._console.ring.read(start, start + limit)

    def read_until(self, offset: int | None) -> None:
        """Read the pty up to this offset and no further; None: without bound."""
        self._bound = offset
        self._update()

    def write(self, data: bytes) -> None:
        """Type.

        Raises:
            Exhausted: too much is waiting that the program does not read.
        """
        if not self._console.write(data) and not self._writing:
            self._writing = True
            self._loop.add_writer(self._console.source, self._writable)

    def resize(self, rows: int, cols: int) -> None:
        """Give it a size; its programs get SIGWINCH."""
        self.rows, self.cols = rows, cols
        self._console.resize(rows, cols)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed` called whenever bytes came or the shell ended; returns how to stop that."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    def close(self) -> None:
        """Let go of the daemon's copies; the zygote's end with `forget`."""
        self._bound = -1
        self._update()
        if self._writing:
            self._loop.remove_writer(self._console.source)
        watchers, self._watchers = self._watchers, []
        self._console.close()
        for changed in watchers:
            changed()

    def _room(self) -> int:
        return _CHUNK if self._bound is None else self._bound - self.offset

    def _update(self) -> None:
        wanted = self._room() > 0 and not self._console.ended
        if wanted and not self._reading:
            self._loop.add_reader(self._console.source, self._readable)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._console.source)
        self._reading = wanted

    def _readable(self) -> None:
        if self._bound == -1:
            return  # closed; the process ended afterwards
        room = self._room()
        moved = self._console.pump(min(room, _CHUNK)) if room > 0 else 0
        self._update()
        if moved or self.process.status.done():
            for changed in list(self._watchers):
                changed()

    def _writable(self) -> None:
        if self._console.flush():
            self._loop.remove_writer(self._console.source)
            self._writing = False

    def _pending(self) -> bool:
        poll = select.poll()
        poll.register(self._console.source, select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))
