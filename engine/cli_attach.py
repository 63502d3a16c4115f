"""Being with a running program: its output to ours, our input to it, our signals and our terminal's size too.

The main thread waits on a pipe into which the signal handlers write the numbers of signals, and the reader thread a
zero when the program has ended. Output is acknowledged once it is written, so that a slow reader of ours slows the
program and nothing in between grows. In terminal mode our terminal is raw for as long as this lasts: Ctrl-C is a byte
for the program's own terminal to make sense of (termios(3), cfmakeraw).
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
from contextlib import ExitStack, contextmanager
from typing import Any

from engine.api.connection import Connection, Disconnected, Event
from engine.errors import BadInput, EngineError

CHUNK = 32 * 1024
# Not forwarded: those that tell about us and not about the program (engine notes A4).
OURS = {signal.SIGCHLD, signal.SIGURG, signal.SIGPIPE, signal.SIGWINCH, signal.SIGKILL, signal.SIGSTOP,
        signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGSEGV, signal.SIGBUS,
        signal.SIGFPE, signal.SIGILL}  # fmt: skip
# Ctrl-] leaves a lab's terminal, which goes on; a container ends by its own means.
LEAVE = b"\x1d"
FOR_EVER_S = 10 * 365 * 86400.0


def check_tty() -> None:
    """Raises BadInput where a terminal was asked for and our stdin is none, as docker(1) does."""
    if not os.isatty(0):
        raise BadInput(
            "A terminal was asked for (-t), and the input is none.", "Leave -t away, or run it in a terminal."
        )


class Session:
    """One attachment.

    Args:
        words: the calls that carry input, its end, signals and sizes: "container", or "terminal" for a lab's.
        terminal: the program has a terminal; ours, if it is one, becomes raw for it.
        interactive: hand our input on.
    """

    def __init__(self, engine: Connection, *, terminal: bool, interactive: bool, words: str = "container") -> None:
        self._engine, self._words = engine, words
        self._terminal, self._interactive = terminal and os.isatty(0), interactive
        self._target: dict[str, str] = {}
        self._names: dict[int, str] = {}
        self._open: set[int] = set()
        self._status: int | None = None
        self._lost = self._left = False
        self._held = ExitStack()
        self._wake_r, self._wake_w = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._wake_w, False)

    def start(self, call: str, args: dict[str, Any]) -> dict[str, Any]:
        """Make the call that starts the program, or attaches; its output is written from the first byte on."""
        self._engine.on_event(self._heard)
        with ExitStack() as held:
            # Before the program runs: who has seen its first line may send us a signal that is meant for it.
            held.enter_context(self._signals())
            started: dict[str, Any] = self._engine.call(call, {**args, "attach": True}, on_reply=self._started)
            self._held = held.pop_all()
        key = "exec" if "exec" in started else self._words
        self._target = {key: started.get("exec") or args[key]}
        return started

    def stay(self) -> int:
        """Stay until the program has ended and all its output is written; returns its exit status.

        Raises:
            Disconnected: the engine went away; the program goes on.
        """
        with self._held, self._raw():
            if self._interactive:
                threading.Thread(target=self._type, name="stdin", daemon=True).start()
            while self._open and not self._lost and not self._left:
                self._handle(os.read(self._wake_r, 4096))
        if self._left:
            return 0
        if self._lost or self._status is None:
            raise Disconnected("The connection to the engine broke; the program goes on without us.", "See `hako ps`.")
        return self._status

    # -- output: on the reader thread ---------------------------------------------------------------------------------

    def _started(self, answer: dict[str, Any]) -> None:
        """Know the streams before their first event is looked at."""
        streams = answer.get("streams", {}) if "stream" not in answer else {"tty": answer}
        self._names = {int(stream["stream"]): name for name, stream in streams.items()}
        self._open = set(self._names)

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

    # -- input: on a thread of its own, since a program that does not read makes it wait ------------------------------

    def _type(self) -> None:
        """Hand our input on, piece by piece: the answer comes when the program's terminal or pipe took it."""
        try:
            while data := os.read(0, CHUNK):
                if data == LEAVE and self._words == "terminal":
                    self._left = True
                    self._wake()
                    return
                self._engine.call(f"{self._words}.input", {**self._target, "data": data}, timeout_s=FOR_EVER_S)
            self._engine.call(f"{self._words}.close_stdin", self._target)
        except (EngineError, OSError):  # it has ended, or takes no input: its status is on its way
            pass

    # -- signals: on the main thread ----------------------------------------------------------------------------------

    def _handle(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGWINCH and self._terminal:
                self._resize()
            elif number and self._words == "terminal":  # a lab's shell goes on without us; no signal is meant for it
                raise SystemExit(128 + number)
            elif number:
                try:
                    self._engine.call(f"{self._words}.signal", {**self._target, "signal": number})
                except Disconnected:
                    raise
                except EngineError:  # it has ended meanwhile
                    pass

    def _resize(self) -> None:
        found = os.get_terminal_size(0)
        self._engine.tell(f"{self._words}.resize", {**self._target, "rows": found.lines, "cols": found.columns})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let the kernel's signals become bytes in our pipe (signal.set_wakeup_fd)."""
        wanted = {number for number in signal.valid_signals() if number not in OURS and number < signal.SIGRTMIN}
        wanted |= {signal.SIGWINCH} if self._terminal else set()
        old = signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda number, frame: None) for number in wanted}
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
