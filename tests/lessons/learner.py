"""A learner who follows a lesson word by word: types a line, waits for the prompt, reads what the machine answered."""

from __future__ import annotations

import re
import threading
from types import TracebackType

from engine.client import Attached, EngineClient, Event

PROMPT = re.compile(r"[#$] $")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
WAIT_S = 60.0
SIZE = (40, 120)


class Learner:
    """Terminals of one lab, by name. Use as a context manager."""

    def __init__(self, engine: EngineClient, lab: str) -> None:
        self._engine, self._lab = engine, lab
        self._turn = threading.Condition()
        self._terminals: dict[str, str] = {}
        self._streams: dict[int, str] = {}
        self._output: dict[str, bytes] = {}
        self._consumed: dict[int, int] = {}

    def __enter__(self) -> Learner:
        self._remove = self._engine.on_event(self._on_event)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def type(self, terminal: str, line: str) -> str:
        """Type a line; returns what was shown up to the next prompt, the echo included."""
        self._open(terminal)
        with self._turn:
            self._output[terminal] = b""
        self._engine.terminal_input(self._terminals[terminal], line.encode() + b"\n")
        return self._until_prompt(terminal)

    def _open(self, name: str) -> None:
        if name in self._terminals:
            return
        self._output[name] = b""
        made = self._engine.terminal_open(self._lab, name, *SIZE)
        self._terminals[name] = made.terminal
        self._engine.terminal_attach(made.terminal, 0, *SIZE, on_attached=lambda at: self._attached(at, name))
        self._until_prompt(name)

    def _attached(self, at: Attached, name: str) -> None:
        self._streams[at.stream] = name

    def _on_event(self, event: Event) -> None:
        if event["event"] != "terminal.output" or event["stream"] not in self._streams:
            return
        with self._turn:
            self._output[self._streams[event["stream"]]] += event["data"]
            self._consumed[event["stream"]] = event["offset"] + len(event["data"])
            self._turn.notify_all()

    def _until_prompt(self, name: str) -> str:
        with self._turn:
            came = self._turn.wait_for(lambda: PROMPT.search(self._shown(name)), WAIT_S)
            shown, consumed = self._shown(name), list(self._consumed.items())
        for stream, offset in consumed:
            self._engine.terminal_ack(stream, offset)
        assert came, f"no prompt in {name} after {WAIT_S:.0f} s: {shown!r}"
        return shown

    def _shown(self, name: str) -> str:
        return _ESCAPES.sub("", self._output[name].decode(errors="replace"))
