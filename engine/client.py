"""The typed client of `lab.sock`, and the only door `web` has to the engine. Blocking; any thread may call.

    with EngineClient(Path("/run/hako/lab.sock")) as engine:
        engine.on_event(print)                              # called on the reader thread
        lab = engine.lab_create("ann", {"lesson": "namespaces"})
        print(engine.lab_run(lab.id, ["id", "-u"]).stdout)

After {"event": "disconnected"} every stream and watch is gone: on {"event": "connected"} attach again from the last
offset consumed, and no byte is lost or doubled. Calls that can be repeated without harm are repeated by themselves.
Which calls exist and what they mean: `engine/api/lab.py`. How the connection lives: `engine/api/connection.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.api.connection import Connection, Disconnected, Event, Listener
from engine.api.streams import ACK, LEAST
from engine.api.types import Attached, CheckResult, Completed, EngineInfo, Lab, TerminalInfo

__all__ = [
    "ACK",
    "LEAST",
    "Attached",
    "CheckResult",
    "Completed",
    "Disconnected",
    "EngineClient",
    "EngineInfo",
    "Event",
    "Lab",
    "Listener",
    "TerminalInfo",
]

Observation = dict[str, Any]
Where = dict[str, Any]


class EngineClient(Connection):
    """One connection to `lab.sock`, with a method for each call. All raise `EngineError`."""

    def engine_info(self) -> EngineInfo:
        """What the engine is and what this machine can do."""
        return EngineInfo.from_wire(self.call("engine.info", again=True))

    # -- labs ---------------------------------------------------------------------------------------------------------

    def lab_create(self, owner: str, shape: dict[str, Any], *, timeout_s: float = 60.0) -> Lab:
        """Make a lab host for `owner`; comes back when it is ready."""
        return Lab.from_wire(self.call("lab.create", {"owner": owner, "shape": shape}, timeout_s=timeout_s))

    def lab_get(self, lab: str) -> Lab:
        """The lab as it is now."""
        return Lab.from_wire(self.call("lab.get", {"lab": lab}, again=True))

    def lab_list(self, owner: str | None = None) -> list[Lab]:
        """All labs, or those of one owner."""
        return [Lab.from_wire(each) for each in self.call("lab.list", {"owner": owner}, again=True)]

    def lab_pause(self, lab: str) -> Lab:
        """Freeze all its processes."""
        return Lab.from_wire(self.call("lab.pause", {"lab": lab}, again=True))

    def lab_resume(self, lab: str) -> Lab:
        """Thaw them."""
        return Lab.from_wire(self.call("lab.resume", {"lab": lab}, again=True))

    def lab_reset(self, lab: str, *, timeout_s: float = 60.0) -> Lab:
        """Throw its processes and files away and begin afresh, under the same id."""
        return Lab.from_wire(self.call("lab.reset", {"lab": lab}, timeout_s=timeout_s))

    def lab_remove(self, lab: str) -> None:
        """End it; nothing of it is left."""
        self.call("lab.remove", {"lab": lab}, again=True)

    def lab_touch(self, lab: str) -> Lab:
        """Put its idle clock back: somebody is there."""
        return Lab.from_wire(self.call("lab.touch", {"lab": lab}, again=True))

    def lab_extend(self, lab: str, seconds: int) -> Lab:
        """Move its absolute end by `seconds`, as far as the engine's settings allow."""
        return Lab.from_wire(self.call("lab.extend", {"lab": lab, "seconds": seconds}))

    def lab_run(
        self, lab: str, argv: Sequence[str], *, timeout_s: float = 20.0, env: dict[str, str] | None = None
    ) -> Completed:
        """Run a program in the lab, beside the learner's processes, and wait for its end."""
        args = {"lab": lab, "argv": list(argv), "timeout_s": timeout_s, "env": env or {}}
        return Completed.from_wire(self.call("lab.run", args, timeout_s=timeout_s + 10))

    def lab_script(self, lab: str, script: str, *, timeout_s: float = 20.0) -> Completed:
        """Run a shell script in the lab, beside the learner's processes, and wait for its end."""
        args = {"lab": lab, "script": script, "timeout_s": timeout_s}
        return Completed.from_wire(self.call("lab.run", args, timeout_s=timeout_s + 10))

    # -- terminals ----------------------------------------------------------------------------------------------------

    def terminal_open(self, lab: str, name: str, rows: int, cols: int, cwd: str | None = None) -> TerminalInfo:
        """The terminal of that name, made if it is not there."""
        args = {"lab": lab, "name": name, "rows": rows, "cols": cols, "cwd": cwd}
        return TerminalInfo.from_wire(self.call("terminal.open", args, again=True))

    def terminal_list(self, lab: str) -> list[TerminalInfo]:
        """The terminals of a lab."""
        return [TerminalInfo.from_wire(each) for each in self.call("terminal.list", {"lab": lab}, again=True)]

    def terminal_close(self, terminal: str) -> None:
        """Hang up: its processes get SIGHUP."""
        self.call("terminal.close", {"terminal": terminal})

    def terminal_attach(
        self,
        terminal: str,
        offset: int | None,
        rows: int,
        cols: int,
        *,
        role: str = "owner",
        consumed: int | None = None,
        on_attached: Callable[[Attached], None] | None = None,
    ) -> Attached:
        """Begin a stream of output, from the byte `offset` on (None: from the oldest line kept).

        Args:
            role: "owner" decides the size and its credit gates the pty; a "watcher" only looks.
            consumed: of the bytes before `offset` those before this one were acknowledged, the others were not yet.
            on_attached: told on the reader thread before the first output of the stream; keep the stream's number here.
        """
        args = {"terminal": terminal, "from": offset, "rows": rows, "cols": cols, "role": role, "consumed": consumed}
        tell = None if on_attached is None else (lambda value: on_attached(Attached.from_wire(value)))
        return Attached.from_wire(self.call("terminal.attach", args, on_reply=tell))

    def terminal_detach(self, stream: int) -> None:
        """End a stream. Its terminal goes on."""
        self.call("terminal.detach", {"stream": stream})

    def terminal_input(self, terminal: str, data: bytes) -> None:
        """Type bytes; one-way. Raises Disconnected when the engine is away: the bytes are not kept."""
        self.tell("terminal.input", {"terminal": terminal, "data": data})

    def terminal_type(self, terminal: str, data: bytes, key: str) -> bool:
        """Type bytes once: a second call with the same key types nothing. Returns whether this one typed."""
        args = {"terminal": terminal, "data": data, "key": key}
        return bool(self.call("terminal.type", args, again=True)["typed"])

    def terminal_ack(self, stream: int, consumed: int) -> None:
        """All output before the offset `consumed` was taken in; one-way."""
        self.tell("terminal.ack", {"stream": stream, "consumed": consumed})

    def terminal_resize(self, terminal: str, rows: int, cols: int) -> None:
        """Give the terminal a size; one-way."""
        self.tell("terminal.resize", {"terminal": terminal, "rows": rows, "cols": cols})

    # -- looking ------------------------------------------------------------------------------------------------------

    def observe_snapshot(self, lab: str) -> Observation:
        """The lab as the kernel shows it now."""
        value: Observation = self.call("observe.snapshot", {"lab": lab}, again=True)
        return value

    def observe_where(self, terminal: str) -> Where:
        """Where the foreground process of a terminal is."""
        value: Where = self.call("observe.where", {"terminal": terminal}, again=True)
        return value

    def observe_watch(self, lab: str) -> int:
        """Send `lab.observed`, `lab.usage`, `lab.plan` and `terminal.where` events on change, at most one a second."""
        return int(self.call("observe.watch", {"lab": lab})["watch"])

    def observe_unwatch(self, watch: int) -> None:
        """End a watch."""
        self.call("observe.unwatch", {"watch": watch})

    def check_evaluate(
        self, lab: str, predicates: Sequence[dict[str, Any]], answers: dict[str, Any] | None = None
    ) -> list[CheckResult]:
        """Evaluate predicates on the lab as it is now; one result for each."""
        args = {"lab": lab, "predicates": list(predicates), "answers": answers or {}}
        return [CheckResult.from_wire(each) for each in self.call("check.evaluate", args, again=True)]
