"""The calls of `lab.sock`, all that the web server may do: labs, their terminals, looking at them, checking them.

    engine.info                                            lab.create {owner, shape}  .list {owner?}
    lab.get .pause .resume .reset .remove .touch {lab}      .extend {lab, seconds}  .run {lab, script|argv, timeout_s}
    terminal.open {lab, name, rows, cols, cwd?}  .list {lab}  .close {terminal}  .type {terminal, data, key}
    terminal.attach {terminal, from, consumed, rows, cols, role}  .detach {stream}
    terminal.input {terminal, data}  .ack {stream, consumed}  .resize {terminal, rows, cols}       one-way
    observe.snapshot {lab}  .where {terminal}  .watch {lab}  .unwatch {watch}
    check.evaluate {lab, predicates, answers}

Events: terminal.output, .reset, .exit, .where; lab.state, .observed, .usage, .plan. This file checks arguments and
turns things into plain data; what a lab is, `engine/lab.py` says. No call here reaches a container of the machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from engine.api import wire
from engine.api.args import Args
from engine.api.life import Life
from engine.api.peer import Handler, Peer
from engine.api.terminals import Terminals
from engine.api.typed import Typed
from engine.api.views import Views
from engine.api.watch import Watches, fitting
from engine.errors import BadInput, NotFound
from engine.lab import Lab, Labs, LabShape
from engine.settings import Settings
from engine.terminal import Terminal

# One message of typed bytes. A paste is cut by the page; a block to type is a few lines.
INPUT = 64 * 1024
OUTPUT = 96 * 1024  # of each stream of lab.run: both fit into a frame
SCRIPT = 64 * 1024
RUN_S = 300.0
OFFSET = 2**63 - 1
PREDICATES = 64
ANY_SIZE = (0, 100_000)  # clamped to what a terminal can be, not refused: a page measures oddly while it loads


class LabApi:
    """The handlers of `lab.sock`.

    Args:
        info: what `engine.info` answers.
        tell: sends an event to all peers, by subject.
    """

    def __init__(
        self,
        settings: Settings,
        labs: Labs,
        terminals: Terminals,
        views: Views,
        info: Callable[[], dict[str, Any]],
        tell: Callable[[tuple[str, ...], wire.Message], None],
    ) -> None:
        self._settings, self._labs, self._terminals, self._views, self._info = settings, labs, terminals, views, info
        self._typed = Typed(settings.run / "typed")
        self._minded: dict[str, Terminal] = {}  # by id
        self.watches = Watches(views.look)
        self.life = Life(labs, tell, self.lab_json, self._lab_gone)

    def handlers(self) -> dict[str, Handler]:
        """The calls, by name."""
        return {
            "engine.info": lambda peer, args: self._info(),
            "lab.create": self.create,
            "lab.get": lambda peer, args: self.lab_json(self._lab(args)),
            "lab.list": self.list_labs,
            "lab.pause": lambda peer, args: self._change(self._lab(args), self._pause),
            "lab.resume": lambda peer, args: self._change(self._lab(args), self._resume),
            "lab.reset": lambda peer, args: self._change(self._lab(args), self._labs.reset),
            "lab.remove": self.remove,
            "lab.touch": self.touch,
            "lab.extend": self.extend,
            "lab.run": self.run,
            "terminal.open": self.open,
            "terminal.list": self.terminals,
            "terminal.close": self.close,
            "terminal.attach": self.attach,
            "terminal.detach": lambda peer, args: self._terminals.detach(peer, args.integer("stream", 0, OFFSET)),
            "terminal.input": self.input,
            "terminal.type": self.type,
            "terminal.ack": self.ack,
            "terminal.resize": self.resize,
            "observe.snapshot": self.snapshot,
            "observe.where": self.where,
            "observe.watch": lambda peer, args: {"watch": self.watches.watch(peer, self._lab(args).id)},
            "observe.unwatch": lambda peer, args: self.watches.unwatch(peer, args.integer("watch", 0, OFFSET)),
            "check.evaluate": self.evaluate,
        }

    def recover(self) -> None:
        """Take the terminals back that an earlier daemon left, before a byte more is read from them."""
        for lab in self._labs.all():
            for terminal in lab.terminals.values():
                self._mind(terminal, found_again=True)
        self._typed.sweep(set(self._minded))

    # -- labs ---------------------------------------------------------------------------------------------------------

    def lab_json(self, lab: Lab) -> dict[str, Any]:
        """A lab as it goes on the wire."""
        limits = self._settings
        return {
            "id": lab.id,
            "owner": lab.record.owner,
            "state": lab.state,
            "reason": lab.reason,
            "created_at": lab.record.created_at,
            # A paused lab was put by on purpose: only its life goes on.
            "idle_ends_at": lab.ends_at if lab.state == "paused" else lab.idle_ends_at,
            "ends_at": lab.ends_at,
            "limits": {
                "memory_bytes": limits.lab_memory_bytes,
                "cpus": limits.lab_cpus,
                "pids": limits.lab_pids,
                "disk_bytes": limits.lab_disk_bytes,
                "idle_s": limits.lab_idle_s,
                "life_s": limits.lab_life_s,
            },
            "progress": lab.reason if lab.state == "creating" else None,
        }

    async def create(self, peer: Peer, args: Args) -> dict[str, Any]:
        """Make a lab; comes back when it is ready."""
        # The lesson a lab is for is the page's to remember.
        shape = {name: value for name, value in args.mapping("shape").items() if name != "lesson"}
        lab = await self._labs.create(args.text("owner"), LabShape.of(shape))
        self.life.changed(lab)
        return self.lab_json(lab)

    def list_labs(self, peer: Peer, args: Args) -> list[dict[str, Any]]:
        """All labs, or one owner's."""
        return [self.lab_json(lab) for lab in self._labs.all(args.optional_text("owner"))]

    async def _change(self, lab: Lab, change: Callable[[Lab], Awaitable[None]]) -> dict[str, Any]:
        try:
            await change(lab)
        finally:
            self.life.changed(lab)
        return self.lab_json(lab)

    async def _pause(self, lab: Lab) -> None:
        if lab.state != "paused":  # again is no error: the call is repeated after a broken connection
            await self._labs.pause(lab)

    async def _resume(self, lab: Lab) -> None:
        if lab.state != "ready":
            await self._labs.resume(lab)

    async def remove(self, peer: Peer, args: Args) -> None:
        """End a lab; one that is gone already is no error."""
        try:
            lab = self._lab(args)
        except NotFound:
            return
        await self._labs.remove(lab)
        self.life.changed(lab)

    def touch(self, peer: Peer, args: Args) -> dict[str, Any]:
        """Put its idle clock back."""
        lab = self._lab(args)
        self._labs.touch(lab)
        self.life.changed(lab)
        return self.lab_json(lab)

    def extend(self, peer: Peer, args: Args) -> dict[str, Any]:
        """Move its end."""
        lab = self._lab(args)
        self._labs.extend(lab, args.integer("seconds", 1, 86_400))
        self.life.changed(lab)
        return self.lab_json(lab)

    async def run(self, peer: Peer, args: Args) -> dict[str, Any]:
        """Run a program or a script beside the learner's processes."""
        lab, timeout_s = self._lab(args), args.seconds("timeout_s", RUN_S, 20.0)
        if args.has("script"):
            argv = ["/bin/bash", "-c", args.text("script", limit=SCRIPT)]
        else:
            argv = args.items("argv", str, 1024)
        if not argv:
            raise BadInput("lab.run needs argv or script.", 'Write e.g. {"argv": ["id", "-u"]}.')
        env = args.mapping("env")
        if not all(isinstance(value, str) for value in env.values()):
            raise BadInput("env of lab.run holds something that is not text.")
        done = await self._labs.run(lab, argv, timeout_s=timeout_s, env=env, stdin=args.data("stdin", INPUT, b""))
        return {"status": done.status, "stdout": done.stdout[-OUTPUT:], "stderr": done.stderr[-OUTPUT:]}

    # -- terminals ----------------------------------------------------------------------------------------------------

    async def open(self, peer: Peer, args: Args) -> dict[str, Any]:
        """The terminal of that name, made if there is none."""
        rows, cols = args.integer("rows", *ANY_SIZE, default=24), args.integer("cols", *ANY_SIZE, default=80)
        rows, cols = self._terminals.clamp(rows, cols)
        cwd = args.text("cwd", "/root", limit=4096)
        terminal = await self._labs.terminal(self._lab(args), args.text("name"), rows, cols, cwd=cwd)
        self._mind(terminal)
        return terminal_json(terminal)

    def terminals(self, peer: Peer, args: Args) -> list[dict[str, Any]]:
        """Those of a lab."""
        return [terminal_json(terminal) for terminal in self._lab(args).terminals.values()]

    def close(self, peer: Peer, args: Args) -> None:
        """Hang up."""
        terminal = self._terminal(args)
        self._labs.close_terminal(self._labs.get(terminal.lab), terminal)
        self._typed.forget(terminal.id)

    def attach(self, peer: Peer, args: Args) -> dict[str, Any]:
        """Begin a stream of output."""
        terminal, owner = self._terminal(args), args.choice("role", ("owner", "watcher"), "owner") == "owner"
        rows, cols = args.integer("rows", *ANY_SIZE, default=24), args.integer("cols", *ANY_SIZE, default=80)
        begin = args.optional_integer("from", 0, OFFSET)
        consumed = args.optional_integer("consumed", 0, OFFSET)
        self._labs.touch(self._labs.get(terminal.lab))
        return self._terminals.attach(peer, terminal, begin, rows, cols, owner=owner, consumed=consumed)

    def input(self, peer: Peer, args: Args) -> None:
        """Type."""
        self._write(self._terminal(args), args.data("data", INPUT))

    def type(self, peer: Peer, args: Args) -> dict[str, Any]:
        """Type, unless this key was typed before."""
        terminal, data = self._terminal(args), args.data("data", INPUT)
        typed = self._typed.first_time(terminal.id, args.text("key"))
        if typed:
            self._write(terminal, data)
        return {"typed": typed}

    def _write(self, terminal: Terminal, data: bytes) -> None:
        terminal.write(data)
        self._labs.touch(self._labs.get(terminal.lab))
        self.watches.lively(terminal.lab)

    def ack(self, peer: Peer, args: Args) -> None:
        """A client consumed all before an offset."""
        self._terminals.ack(peer, args.integer("stream", 0, OFFSET), args.integer("consumed", 0, OFFSET))

    def resize(self, peer: Peer, args: Args) -> None:
        """Give a terminal a size."""
        rows, cols = args.integer("rows", *ANY_SIZE), args.integer("cols", *ANY_SIZE)
        self._terminals.resize(self._terminal(args), rows, cols)

    # -- looking ------------------------------------------------------------------------------------------------------

    async def snapshot(self, peer: Peer, args: Args) -> dict[str, Any]:
        """The lab as it is now."""
        return fitting((await self._views.look(self._lab(args).id)).observation.to_dict())

    async def where(self, peer: Peer, args: Args) -> Any:
        """Where a terminal's foreground process is."""
        terminal = self._terminal(args)
        return (await self._views.look(terminal.lab)).where.get(terminal.id)

    async def evaluate(self, peer: Peer, args: Args) -> Any:
        """Evaluate predicates on the lab as it is now."""
        wanted, answers = args.items("predicates", dict, PREDICATES), args.mapping("answers")
        return await self._views.evaluate(self._lab(args).id, wanted, answers)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _lab(self, args: Args) -> Lab:
        return self._labs.get(args.text("lab"))

    def _terminal(self, args: Args) -> Terminal:
        terminal = self._minded.get(args.text("terminal"))
        if terminal is None or terminal.closed:
            raise NotFound("There is no such terminal.", "It was closed, or its lab was reset or has ended: open it.")
        return terminal

    def _mind(self, terminal: Terminal, *, found_again: bool = False) -> None:
        if terminal.id in self._minded:
            return
        for gone in [known.id for known in self._minded.values() if known.closed]:
            del self._minded[gone]
            self._typed.forget(gone)
        self._minded[terminal.id] = terminal
        self._terminals.keep(terminal, lambda: self.watches.lively(terminal.lab), found_again=found_again)

    def _lab_gone(self, lab: str) -> None:
        self._views.forget(lab)
        for terminal in [known for known in self._minded.values() if known.lab == lab]:
            del self._minded[terminal.id]
            self._typed.forget(terminal.id)


def terminal_json(terminal: Terminal) -> dict[str, Any]:
    """A terminal as it goes on the wire."""
    return {
        "terminal": terminal.id,
        "name": terminal.name,
        "offset": terminal.offset,
        "start": terminal.ring_start,
        "rows": terminal.rows,
        "cols": terminal.cols,
        "exited": terminal.exited,
    }
