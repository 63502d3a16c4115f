"""A small engine for the web tests: a real unix socket, the real wire, real ptys, and labs that are only names.

It stands at the seam (`lab.sock`), so web's own client, threads and reconnects are under test and nothing is patched.
What it does not do: containers, limits, gathering, a second owner. Observations and check results are what a test sets.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.api import wire
from engine.errors import BadInput, EngineError, NotFound
from tests.web.fake_terminal import (
    HIGH,
    MESSAGE,
    FakeStream,
    FakeTerminal,
    credit,
    open_shell,
    sendable,
    set_size,
)

NAMESPACES = ["user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time"]


class Peer:
    """One client connection."""

    def __init__(self, engine: FakeEngine, connection: socket.socket) -> None:
        self.engine, self.connection = engine, connection
        self.lock = threading.Lock()
        self.streams: dict[int, FakeStream] = {}
        self.watches: dict[int, str] = {}

    def send(self, message: dict[str, Any]) -> None:
        try:
            with self.lock:
                self.connection.sendall(wire.encode(message))
        except OSError:
            pass

    def run(self) -> None:
        decoder = wire.Decoder()
        while True:
            try:
                data = self.connection.recv(65536)
            except OSError:
                break
            if not data:
                break
            for message in decoder.feed(data):
                assert not isinstance(message, wire.Malformed), message
                self.handle(wire.parse_request(message))
        for stream in self.streams.values():
            self.engine.end_stream(stream)
        self.connection.close()

    def handle(self, request: wire.Request) -> None:
        self.engine.calls.append((request.call, request.args))
        after: list[Callable[[], None]] = []
        try:
            value = self.engine.dispatch(self, request.call, request.args, after)
            reply = None if request.id is None else wire.ok(request.id, value)
        except EngineError as error:
            reply = None if request.id is None else wire.failure(request.id, error)
        if reply is not None:
            self.send(reply)
        for then in after:
            then()


class FakeEngine:
    """See the module. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.labs: dict[str, dict[str, Any]] = {}
        self.terminals: dict[str, FakeTerminal] = {}
        #: predicate name -> what to answer: a result, or an EngineError to raise. Everything else is not ok.
        self.results: dict[str, dict[str, Any] | EngineError] = {}
        self.observation: dict[str, Any] = {"processes": [], "namespaces": []}
        #: (status, stderr) of the next scripts.
        self.script_status: tuple[int, bytes] = (0, b"")
        self._ids = 0
        self._lock = threading.Lock()
        self._peers: list[Peer] = []
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    # -- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> FakeEngine:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for terminal in list(self.terminals.values()):
            self.kill(terminal)
        for thread in self._threads:
            thread.join(timeout=5)
            assert not thread.is_alive(), thread

    def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._start(self._accept, self._listener)

    def stop(self) -> None:
        """As kill -9 of the daemon: every connection breaks, the shells live."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            peers, self._peers = self._peers, []
        for peer in peers:
            try:
                peer.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """As if it had just been started: no labs, no terminals, no answers."""
        for terminal in list(self.terminals.values()):
            self.kill(terminal)
        self.labs.clear()
        self.results.clear()
        self.calls.clear()
        self.observation = {"processes": [], "namespaces": []}
        self.script_status = (0, b"")
        if self._listener is None:
            self.listen()

    def restart(self) -> None:
        self.stop()
        self.listen()

    def _start(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            peer = Peer(self, connection)
            with self._lock:
                self._peers.append(peer)
            self._start(peer.run)

    # -- what tests do ------------------------------------------------------------------------------------------------

    def tell(self, event: str, **fields: Any) -> None:
        """Send an event to everybody."""
        for peer in list(self._peers):
            peer.send(wire.event(event, **fields))

    def observe(self, lab: str, observation: dict[str, Any]) -> None:
        """Something changed in the lab: tell those who watch it."""
        self.observation = observation
        for peer in list(self._peers):
            if lab in peer.watches.values():
                peer.send(wire.event("lab.observed", lab=lab, revision=self.next_id(), observation=observation))

    def called(self, call: str) -> list[dict[str, Any]]:
        """The arguments of every call of that name so far."""
        return [args for name, args in list(self.calls) if name == call]

    def next_id(self) -> int:
        with self._lock:
            self._ids += 1
            return self._ids

    # -- calls --------------------------------------------------------------------------------------------------------

    def dispatch(self, peer: Peer, call: str, args: dict[str, Any], after: list[Callable[[], None]]) -> Any:
        method = getattr(self, "do_" + call.replace(".", "_"), None)
        if method is None:
            raise BadInput(f"No such call: {call}.")
        return method(peer, args, after)

    def do_engine_info(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return {
            "version": "test",
            "kernel": "6.1",
            "cgroup": "v2",
            "storage_driver": "overlay",
            "namespaces": NAMESPACES,
        }

    def do_lab_create(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        now, ident = time.time(), f"lab{self.next_id()}"
        self.labs[ident] = {
            "id": ident, "owner": args["owner"], "state": "ready", "reason": "", "created_at": now,
            "idle_ends_at": now + 1800, "ends_at": now + 14400, "limits": {},
        }  # fmt: skip
        return self.labs[ident]

    def lab(self, args: dict[str, Any]) -> dict[str, Any]:
        if args["lab"] not in self.labs:
            raise NotFound(f"There is no lab {args['lab']}.")
        return self.labs[args["lab"]]

    def do_lab_get(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return self.lab(args)

    def do_lab_list(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return [lab for lab in self.labs.values() if args.get("owner") in (None, lab["owner"])]

    def do_lab_touch(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return self.lab(args)

    def do_lab_extend(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        self.lab(args)["ends_at"] += args["seconds"]
        return self.lab(args)

    def do_lab_pause(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return self._state(args, "paused")

    def do_lab_resume(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return self._state(args, "ready")

    def _state(self, args: dict[str, Any], state: str) -> dict[str, Any]:
        lab = self.lab(args)
        lab["state"] = state
        return lab

    def do_lab_reset(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        lab = self.lab(args)
        for terminal in [each for each in self.terminals.values() if each.lab == lab["id"]]:
            self.kill(terminal)
        return lab

    def do_lab_remove(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        self.do_lab_reset(peer, args, after)
        del self.labs[args["lab"]]
        return None

    def do_lab_run(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        status, stderr = self.script_status
        return {"status": status, "stdout": b"", "stderr": stderr}

    def do_terminal_open(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        self.lab(args)
        for terminal in self.terminals.values():
            if (terminal.lab, terminal.name) == (args["lab"], args["name"]):
                return terminal.info()
        return self._spawn(args).info()

    def _spawn(self, args: dict[str, Any]) -> FakeTerminal:
        master, process = open_shell(args["rows"], args["cols"])
        terminal = FakeTerminal(
            f"t{self.next_id()}", args["lab"], args["name"], args["rows"], args["cols"], master, process
        )
        self.terminals[terminal.id] = terminal
        self._start(self._pump, terminal)
        return terminal

    def _pump(self, terminal: FakeTerminal) -> None:
        while True:
            with terminal.change:
                terminal.change.wait_for(lambda: credit(terminal) > 0 or terminal.id not in self.terminals, 60)
            try:
                data = os.read(terminal.master, 16384)
            except OSError:
                data = b""
            if not data:
                break
            terminal.take(data)
        terminal.hang_up()

    def kill(self, terminal: FakeTerminal) -> None:
        self.terminals.pop(terminal.id, None)
        if terminal.process.poll() is None:
            os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()
        with terminal.change:
            terminal.owner = None
            terminal.change.notify_all()

    def terminal(self, args: dict[str, Any]) -> FakeTerminal:
        terminal = self.terminals.get(args["terminal"])
        if terminal is None:
            raise NotFound(f"There is no terminal {args['terminal']}.")
        return terminal

    def do_terminal_list(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        return [each.info() for each in self.terminals.values() if each.lab == args["lab"]]

    def do_terminal_close(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        self.kill(self.terminal(args))

    def do_terminal_attach(self, peer: Peer, args: dict[str, Any], after: list[Callable[[], None]]) -> Any:
        terminal = self.terminal(args)
        set_size(terminal.master, args["rows"], args["cols"])
        with terminal.change:
            wanted, end = args["from"], terminal.end
            reset = wanted is not None and not terminal.start <= wanted <= end
            offset = terminal.start if wanted is None or reset else wanted
            stream = FakeStream(self.next_id(), terminal, peer, offset, offset)
            peer.streams[stream.id] = stream
            terminal.owner = stream
            terminal.change.notify_all()
        after.append(lambda: self._start(self._stream, stream))
        return {"stream": stream.id, "offset": offset, "reset": reset, "end": end}

    def _stream(self, stream: FakeStream) -> None:
        terminal = stream.terminal
        while not stream.ended:
            with terminal.change:
                terminal.change.wait_for(lambda: stream.ended or sendable(stream), 60)
                if stream.ended:
                    return
                if stream.sent < terminal.start:
                    stream.sent = stream.consumed = terminal.start
                at = stream.sent - terminal.start
                data = bytes(terminal.ring[at : at + min(MESSAGE, HIGH - (stream.sent - stream.consumed))])
                offset, stream.sent = stream.sent, stream.sent + len(data)
                gone = not data and terminal.exited is not None
            if data:
                stream.peer.send(wire.event("terminal.output", stream=stream.id, offset=offset, data=data))
            elif gone:
                stream.peer.send(wire.event("terminal.exit", stream=stream.id, status=terminal.exited))
                return

    def end_stream(self, stream: FakeStream) -> None:
        with stream.terminal.change:
            stream.ended = True
            if stream.terminal.owner is stream:
                stream.terminal.owner, stream.terminal.seen = None, stream.consumed
            stream.terminal.change.notify_all()

    def do_terminal_detach(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        stream = peer.streams.pop(args["stream"], None)
        if stream is None:
            raise NotFound(f"There is no stream {args['stream']}.")
        self.end_stream(stream)

    def do_terminal_input(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        os.write(self.terminal(args).master, args["data"])

    def do_terminal_type(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        terminal = self.terminal(args)
        if args["key"] in terminal.keys:
            return {"typed": False}
        terminal.keys.add(args["key"])
        os.write(terminal.master, args["data"])
        return {"typed": True}

    def do_terminal_ack(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        stream = peer.streams.get(args["stream"])
        if stream is not None:
            with stream.terminal.change:
                stream.consumed = max(stream.consumed, min(args["consumed"], stream.sent))
                stream.terminal.change.notify_all()

    def do_terminal_resize(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        terminal = self.terminal(args)
        terminal.rows, terminal.cols = args["rows"], args["cols"]
        set_size(terminal.master, args["rows"], args["cols"])

    def do_observe_watch(self, peer: Peer, args: dict[str, Any], after: list[Callable[[], None]]) -> Any:
        lab, watch = self.lab(args)["id"], self.next_id()
        peer.watches[watch] = lab
        first = wire.event("lab.observed", lab=lab, revision=watch, observation=self.observation)
        after.append(lambda: peer.send(first))
        return {"watch": watch}

    def do_observe_unwatch(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        peer.watches.pop(args["watch"], None)

    def do_check_evaluate(self, peer: Peer, args: dict[str, Any], after: Any) -> Any:
        self.lab(args)
        found = []
        for predicate in args["predicates"]:
            (name,) = predicate
            result = self.results.get(name, {"ok": False, "code": f"{name}.none", "params": {}})
            if isinstance(result, EngineError):
                raise result
            found.append(result)
        return found
