"""The terminals of the fake engine: real ptys with real shells, each with a ring and an offset.

They know the flow control of one stream (how much may be read, how much may be sent) and nothing of labs, calls or
sockets: that is `fake_engine.py`.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

HIGH, LOW, MESSAGE, RING = 128 * 1024, 32 * 1024, 32 * 1024, 256 * 1024


class Sender(Protocol):
    """Whoever takes a message."""

    def send(self, message: dict[str, Any]) -> None: ...


@dataclass
class FakeTerminal:
    """A pty with a shell, its ring and its offset. Survives `FakeEngine.restart()`, as the zygote's do."""

    id: str
    lab: str
    name: str
    rows: int
    cols: int
    master: int
    process: subprocess.Popen[bytes]
    ring: bytearray = field(default_factory=bytearray)
    end: int = 0
    exited: int | None = None
    keys: set[str] = field(default_factory=set)
    change: threading.Condition = field(default_factory=threading.Condition)
    owner: FakeStream | None = None
    #: What the last owner had consumed: until it comes back the ring is filled and not overrun.
    seen: int = 0

    @property
    def start(self) -> int:
        return self.end - len(self.ring)

    def info(self) -> dict[str, Any]:
        return {
            "terminal": self.id, "name": self.name, "offset": self.end, "start": self.start,
            "rows": self.rows, "cols": self.cols, "exited": self.exited,
        }  # fmt: skip

    def take(self, data: bytes) -> None:
        """The shell said something."""
        with self.change:
            self.ring += data
            self.end += len(data)
            del self.ring[: max(0, len(self.ring) - RING)]
            self.change.notify_all()

    def hang_up(self) -> None:
        """The shell has ended."""
        with self.change:
            self.exited = self.process.wait()
            self.change.notify_all()


@dataclass
class FakeStream:
    """A terminal on its way to one client."""

    id: int
    terminal: FakeTerminal
    peer: Sender
    sent: int
    consumed: int = 0
    ended: bool = False


def open_shell(rows: int, cols: int) -> tuple[int, subprocess.Popen[bytes]]:
    """A shell on a new pty; gives the pty's master and the process."""
    master, slave = pty.openpty()
    set_size(master, rows, cols)
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile"],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True,
        env={"PS1": "$ ", "TERM": "dumb", "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HISTFILE": ""},
    )  # fmt: skip
    os.close(slave)
    return master, process


def credit(terminal: FakeTerminal) -> int:
    """How many bytes may be read from the pty now: what its owner has room for, or else the ring."""
    owner = terminal.owner
    return RING - (terminal.end - terminal.seen) - 16384 if owner is None else HIGH - (terminal.end - owner.consumed)


def sendable(stream: FakeStream) -> bool:
    """Whether there is something to tell this client: bytes within its credit, or the end."""
    terminal = stream.terminal
    if stream.sent < terminal.end:
        return stream.sent - stream.consumed < HIGH
    return terminal.exited is not None


def set_size(fd: int, rows: int, cols: int) -> None:
    """Tell a pty its size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
