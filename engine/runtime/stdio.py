"""A process's standard streams as the daemon has them: one terminal, or stdin, stdout and stderr apart.

Each output stream is a `Console` (ring, pipe, source). What must outlive the daemon is kept by the zygote under names
made here, so that `restore` can put the same object together again from what the zygote hands back. See stdin(3),
pty(7).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.runtime.console import Console, Ring

#: The name under which the zygote keeps the write end of a program's stdin.
STDIN = "stdin.w"
#: Two names for the outputs: a terminal has one, a program without one has two.
TTY, OUTPUTS = "tty", ("stdout", "stderr")


class Stdio:
    """The daemon's ends.

    Attributes:
        consoles: by name: {"tty": …} or {"stdout": …, "stderr": …}.
        stdin: the write end of the program's stdin, where it has one and no terminal; -1 once closed.
        on_stdin_closed: called when `stdin` is closed, so that the zygote's copy can be closed as well.
    """

    def __init__(self, consoles: dict[str, Console], stdin: int = -1) -> None:
        self.consoles, self.stdin = consoles, stdin
        self.on_stdin_closed: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> bool:
        """Type into the terminal, or write to stdin; whether all was taken (see Console.write)."""
        if TTY in self.consoles:
            return self.consoles[TTY].write(data)
        return not self.put(memoryview(data)) or self.stdin < 0

    def put(self, data: memoryview) -> memoryview:
        """Write to stdin what its pipe takes now (64 KiB, pipe(7)); what is left. One that nobody reads is closed."""
        try:
            while data and self.stdin >= 0:
                data = data[os.write(self.stdin, data) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.close_stdin()
        return data

    def close_stdin(self) -> None:
        """Say to the program that no more input comes."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1
            self.on_stdin_closed()

    def drain(self) -> None:
        """Take what is left in the pipes and terminals of a program that has ended, as much as its rings hold."""
        for console in self.consoles.values():
            console.drain()

    def close(self) -> None:
        """Close the daemon's copies."""
        self.close_stdin()
        for console in self.consoles.values():
            console.close()


class Prepared:
    """The descriptors of a start under way: what the child gets, what the zygote keeps, what becomes a Stdio."""

    def __init__(self, tty: bool, interactive: bool) -> None:
        self.tty = tty
        self.child: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        for name in (TTY,) if tty else OUTPUTS:
            (read, write), ring = Console.fds()
            self.kept |= {f"{name}.pipe_r": read, f"{name}.pipe_w": write, f"{name}.ring": os.dup(ring.fd)}
            ring.close()
            if not tty:
                self.kept[f"{name}.source"], self.child[name] = os.pipe2(os.O_CLOEXEC)
        if interactive and not tty:
            self.child["stdin"], self.kept[STDIN] = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self.kept[STDIN], False)

    @property
    def fds(self) -> dict[str, int]:
        """All of them, for the start request."""
        return {**self.child, **self.kept}

    def finish(self, started: dict[str, int]) -> Stdio:
        """The Stdio of the started process; `started` holds the master that the child made, taken out of it."""
        kept, self.kept = self.kept, {}
        if self.tty:
            kept["tty.source"] = started.pop("master")
        return _assemble(kept)

    def close(self) -> None:
        """Close what nobody took: the child's ends always, the rest after a failure."""
        for fd in (*self.child.values(), *self.kept.values()):
            os.close(fd)
        self.child, self.kept = {}, {}


@contextmanager
def prepare(*, tty: bool, interactive: bool) -> Iterator[Prepared]:
    """Descriptors for a process to be started.

    Args:
        tty: it gets a terminal, made by its own `console` step.
        interactive: without a terminal, it gets a stdin that can be written to; else /dev/null.
    """
    prepared = Prepared(tty, interactive)
    try:
        yield prepared
    finally:
        prepared.close()


def restore(fds: dict[str, int]) -> Stdio:
    """The Stdio of a process found again; takes its descriptors out of `fds`."""
    if "master" in fds:
        fds["tty.source"] = fds.pop("master")
    mine = {name: fds.pop(name) for name in list(fds) if name.partition(".")[0] in (TTY, *OUTPUTS, "stdin")}
    return _assemble(mine)


def _assemble(fds: dict[str, int]) -> Stdio:
    consoles = {
        name: Console(fds[f"{name}.source"], (fds[f"{name}.pipe_r"], fds[f"{name}.pipe_w"]), Ring(fds[f"{name}.ring"]))
        for name in (TTY, *OUTPUTS)
        if f"{name}.source" in fds
    }
    return Stdio(consoles, fds.get(STDIN, -1))
