"""A terminal's output, kept so that no byte is lost and none is doubled, whoever dies when.

The bytes go from the pty's master into a pipe (splice(2)), from there into a ring in shared memory, and only then out
of the pipe. The zygote holds master, pipe and ring; the daemon moves the bytes and may be killed after any instruction:

    splice(master -> pipe)     the bytes are in the pipe
    tee(pipe -> scratch)       … and copied into the ring at `head`, then head is moved on
    drain the pipe             … then base is moved up to head

A new daemon looks: bytes in the pipe and head == base: not copied yet, copy them; head > base: copied, only drain. A
plain read(2) from the master cannot do this: what it took and had not stored dies with the process.

`head` is the *offset* of terminal.md and the page: bytes produced since the terminal was opened. The ring keeps the
newest `CAPACITY` of them. The same works for a pipe in the master's place: a container's stdout. See pty(7), pipe(7),
splice(2), tee(2), memfd_create(2).
"""

from __future__ import annotations

import collections
import errno
import fcntl
import mmap
import os
import struct
import termios
import time

from engine.errors import Exhausted
from engine.linux import syscalls

#: Bytes kept for those who come back: about two thousand lines, 64 times what one write to the page holds.
CAPACITY = 256 * 1024
#: What a program that does not read may have waiting: a pty takes 4 KiB itself, a pasted file is larger.
INPUT_MAX = 256 * 1024
#: How long one terminal is read before the others are looked after.
TURN_S = 0.0004
_HEADER = 4096
_COUNTERS = struct.Struct("=QQ")
_SPLICE_NONBLOCK = 2


class Ring:
    """The newest bytes of a stream in shared memory, addressed by offset; counters `head` and `base` before them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, _HEADER + CAPACITY)

    @classmethod
    def create(cls) -> Ring:
        """A new, empty ring."""
        fd = os.memfd_create("hako-ring", os.MFD_CLOEXEC)
        os.ftruncate(fd, _HEADER + CAPACITY)
        return cls(fd)

    @property
    def head(self) -> int:
        """Offset after the newest byte."""
        return int(_COUNTERS.unpack_from(self._memory, 0)[0])

    @property
    def base(self) -> int:
        """Offset after the last byte that has left the pipe."""
        return int(_COUNTERS.unpack_from(self._memory, 0)[1])

    @property
    def start(self) -> int:
        """Offset of the oldest byte still here."""
        return max(0, self.head - CAPACITY)

    def append(self, data: bytes) -> None:
        """Copy bytes in behind the newest, then move `head`: until then they are not there."""
        head = self.head
        place = head % CAPACITY
        first = min(len(data), CAPACITY - place)
        self._memory[_HEADER + place : _HEADER + place + first] = data[:first]
        self._memory[_HEADER : _HEADER + len(data) - first] = data[first:]
        struct.pack_into("=Q", self._memory, 0, head + len(data))

    def settle(self) -> None:
        """All up to `head` has left the pipe."""
        struct.pack_into("=Q", self._memory, 8, self.head)

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end), cut to what is still here."""
        start, end = max(start, self.start), min(end, self.head)
        if start >= end:
            return b""
        place, length = start % CAPACITY, end - start
        first = self._memory[_HEADER + place : _HEADER + min(place + length, CAPACITY)]
        return first if len(first) == length else first + self._memory[_HEADER : _HEADER + length - len(first)]

    def close(self) -> None:
        """Let go of the memory; it stays as long as the zygote holds it."""
        self._memory.close()
        os.close(self.fd)


class Console:
    """The daemon's end of one stream: pumps what comes, writes what is typed.

    Args:
        source: the pty's master, or the read end of a program's pipe; becomes this object's to close.
        pipe: (read end, write end) of the pipe in between; likewise.
        ring: where the bytes are kept.
    """

    def __init__(self, source: int, pipe: tuple[int, int], ring: Ring) -> None:
        self.source, self.pipe, self.ring = source, pipe, ring
        self.ended = False
        self._scratch = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        self._typed: collections.deque[bytes] = collections.deque()
        self._typed_bytes = 0
        os.set_blocking(source, False)
        self._recover()

    @staticmethod
    def fds() -> tuple[tuple[int, int], Ring]:
        """A new pipe and ring, to be kept by the zygote under `pipe_r`, `pipe_w` and `ring`."""
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        return (read, write), Ring.create()

    def _recover(self) -> None:
        """Finish the step at which the last daemon died."""
        waiting = _waiting(self.pipe[0])
        if waiting and self.ring.head == self.ring.base:
            self._copy(waiting)
        if waiting:
            self._drain(waiting)
        self.ring.settle()

    def pump(self, limit: int) -> int:
        """Move up to `limit` bytes from the terminal into the ring; how many were moved.

        Sets `ended` when the last process has closed the terminal. A pty hands out 4 KiB and is then filled again by a
        thread of the kernel, for which the next read of a flood waits, and with it all other terminals: so no more is
        read once that has taken TURN_S.
        """
        moved, end = 0, time.monotonic() + TURN_S
        while moved < limit:
            try:
                count = os.splice(self.source, self.pipe[1], min(limit - moved, 32768), flags=_SPLICE_NONBLOCK)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:  # EIO on a pty's master: its last peer has closed
                    raise
                count = 0
            if count == 0:
                self.ended = True
                break
            moved += count
            if moved >= 32768 or time.monotonic() > end:
                break
        if moved:
            self._copy(moved)
            self._drain(moved)
        return moved

    def drain(self) -> None:
        """Take what a program that has ended left in the kernel, and no more than the ring holds: it may have children
        that go on writing, as fast as anybody can read."""
        left = CAPACITY
        while left > 0 and not self.ended and (moved := self.pump(min(left, 32768))):
            left -= moved

    def _copy(self, count: int) -> None:
        """Copy all that is in the pipe; the scratch pipe is empty and as large, so one tee(2) takes everything."""
        syscalls.tee(self.pipe[0], self._scratch[1], count)
        self.ring.append(os.read(self._scratch[0], count))

    def _drain(self, count: int) -> None:
        while count and (waiting := min(count, _waiting(self.pipe[0]))):
            count -= os.splice(self.pipe[0], self._null, waiting)
        self.ring.settle()

    def write(self, data: bytes) -> bool:
        """Type bytes into the terminal, in order.

        Returns:
            Whether all was taken; if not, call `flush` when the source is writable.

        Raises:
            Exhausted: over INPUT_MAX bytes wait already; none of `data` was taken.
        """
        if self._typed_bytes + len(data) > INPUT_MAX:
            raise Exhausted(
                f"The terminal has {self._typed_bytes} bytes waiting that its program does not read.",
                "Wait for the program, or interrupt it with Ctrl-C.",
            )
        if data:
            self._typed.append(data)
            self._typed_bytes += len(data)
        return self.flush()

    def flush(self) -> bool:
        """Write what waits; whether all is written. A terminal that has ended takes and forgets everything."""
        while self._typed:
            data = self._typed[0]
            try:
                count = os.write(self.source, data)
            except BlockingIOError:
                return False
            except OSError:
                self._typed.clear()
                self._typed_bytes = 0
                return True
            self._typed_bytes -= count
            if count < len(data):
                self._typed[0] = data[count:]
            else:
                self._typed.popleft()
        return True

    def resize(self, rows: int, cols: int) -> None:
        """Set the size; the kernel tells the foreground job by SIGWINCH. See ioctl_tty(2), TIOCSWINSZ."""
        fcntl.ioctl(self.source, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def size(self) -> tuple[int, int]:
        """Rows and columns, as the kernel has them; see ioctl_tty(2), TIOCGWINSZ."""
        rows, cols, _, _ = struct.unpack("HHHH", fcntl.ioctl(self.source, termios.TIOCGWINSZ, b"\0" * 8))
        return rows, cols

    def close(self) -> None:
        """Close the daemon's copies; the zygote's stay until it is told to forget."""
        self.ring.close()
        for fd in (self.source, *self.pipe, *self._scratch, self._null):
            os.close(fd)


def _waiting(pipe: int) -> int:
    """Bytes in a pipe; see pipe(7), FIONREAD."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])
