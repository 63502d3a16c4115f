"""Being with a running program: its output to ours, our input to it, our signals and our terminal's size too.

Three sources, one loop (select(2)): our stdin, a pipe into which the signal handlers and the reader thread write, and
the end of the program. Output is acknowledged once it is written, so that a slow reader of ours slows the program and
nothing in between grows. In terminal mode our terminal is raw for as long as this lasts: Ctrl-C is a byte for the
program's own terminal to make sense of (termios(3), cfmakeraw).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.api.connection import Connection, Disconnected, Event
from engine.errors import BadInput, EngineError

CHUNK = 32 * 1024
# Not forwarded: those that tell about us and not about the program (engine notes A4).
OURS = {signal.SIGCHLD, signal.SIGURG, signal.SIGPIPE, signal.SIGWINCH, signal.SIGKILL, signal.SIGSTOP,
        signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGSEGV, signal.SIGBUS,
        signal.SIGFPE, signal.SIGILL}  # fmt: skip
LOST = 125


def check_tty() -> None:
    """Raises BadInput where a terminal was asked for and our stdin is none, as docker(1) does."""
    if not os.isatty(0):
        raise BadInput(
            "A terminal was asked for (-t), and the input is none.", "Leave -t away, or run it in a terminal."
        )


def attach(
    engine: Connection, target: dict[str, str], streams: dict[str, dict[str, Any]], terminal: bool, interactive: bool
) -> int:
    """Stay until the program has ended and all its output is written; returns its exit status."""
    return Session(engine, target, streams, terminal, interactive).run()


class Session:
    """One attachment.

    Args:
        target: {"container": id} or {"exec": key}: whom input, signals and sizes are for.
        streams: by name ("tty", or "stdout" and "stderr") the answer of the attach.
    """

    def __init__(
        self,
        engine: Connection,
        target: dict[str, str],
        streams: dict[str, dict[str, Any]],
        terminal: bool,
        interactive: bool,
    ) -> None:
        self._engine, self._target = engine, target
        self._terminal, self._interactive = terminal and os.isatty(0), interactive
        self._names = {int(answer["stream"]): name for name, answer in streams.items()}
        self._wake_r, self._wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._lock = threading.Lock()
        self._early: list[Event] | None = []
        self._open = set(self._names)
        self._status: int | None = None
        self._lost = False

    def run(self) -> int:
        """The loop."""
        remove = self._engine.on_event(self._heard)
        try:
            with self._signals(), self._raw():
                self._begin()
                self._loop()
        finally:
            remove()
        if self._lost or self._status is None:
            raise Disconnected("The connection to the engine broke; the program goes on without us.", "See `hako ps`.")
        return self._status

    # -- output: on the reader thread ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Ask for the output only now that we listen."""
        for stream in self._names:
            self._engine.tell("container.flow", {"stream": stream})

    def _heard(self, event: Event) -> None:
        kind, stream = event["event"], event.get("stream")
        if kind == "disconnected":
            self._lost = True
        elif stream not in self._names:
            return
        elif kind == "terminal.output":
            self._write(2 if self._names[stream] == "stderr" else 1, event["data"])
            self._engine.tell("terminal.ack", {"stream": stream, "consumed": event["offset"] + len(event["data"])})
            return
        elif kind == "terminal.exit":
            self._open.discard(stream)
            self._status = event["status"]
        else:
            return
        self._wake()

    @staticmethod
    def _write(fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:  # somebody made our stdout non-blocking
                select.select([], [fd], [])
            except BrokenPipeError:  # nobody reads us: the program's output goes nowhere, but it goes on
                return

    def _wake(self) -> None:
        try:
            os.write(self._wake_w, b"\0")
        except BlockingIOError:  # full: it will wake anyway
            pass

    # -- input, signals: on the main thread ---------------------------------------------------------------------------

    def _loop(self) -> None:
        reading = [0] if self._interactive else []
        while self._open and not self._lost:
            ready, _, _ = select.select([self._wake_r, *reading], [], [])
            if self._wake_r in ready:
                self._handle(os.read(self._wake_r, 4096))
            if 0 in ready and not self._type():
                reading = []

    def _type(self) -> bool:
        """Hand on a piece of input; whether there may be more. The answer comes when the program's pipe took it."""
        data = os.read(0, CHUNK)
        try:
            if data:
                self._engine.call("container.input", {**self._target, "data": data}, timeout_s=365 * 86400)
                return True
            self._engine.call("container.close_stdin", self._target)
        except Disconnected:
            raise
        except EngineError:  # it has ended: its status is on its way
            pass
        return False

    def _handle(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGWINCH and self._terminal:
                self._resize()
            elif number:
                try:
                    self._engine.call("container.signal", {**self._target, "signal": number})
                except Disconnected:
                    raise
                except EngineError:  # it has ended meanwhile
                    pass

    def _resize(self) -> None:
        found = os.get_terminal_size(0)
        self._engine.tell("container.resize", {**self._target, "rows": found.lines, "cols": found.columns})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let the kernel's signals become bytes in our pipe (signal.set_wakeup_fd)."""
        wanted = {number for number in signal.valid_signals() if number not in OURS and number < signal.SIGRTMIN}
        wanted |= {signal.SIGWINCH} if self._terminal else set()
        before = {number: signal.signal(number, lambda number, frame: None) for number in wanted}
        old = signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @contextmanager
    def _raw(self) -> Iterator[None]:
        """Our terminal in raw mode; put back whatever happens."""
        if not self._terminal or not self._interactive:
            yield
            return
        before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSANOW)
        try:
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
            sys.stdout.flush()
