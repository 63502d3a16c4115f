"""The threaded side of a connection to the engine: requests from any thread, one reader thread, connecting again.

The reader thread takes the replies to their callers and the events to the listeners; it also connects, and connects
again after a bounded back-off when the engine went away. Listeners hear of that by two events of our own,
{"event": "connected"} and {"event": "disconnected"}: streams and watches do not survive it.

Not here: the verbs (`engine/client.py`), flow control and the meaning of events.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from engine.api import wire
from engine.errors import Failed

Event = dict[str, Any]
Listener = Callable[[Event], None]

RECEIVE = 64 * 1024
BACKOFF_FIRST_S = 0.05
BACKOFF_LAST_S = 2.0
# A daemon that takes nothing for this long is stuck; blocking every web thread on it would hang the site with it.
SEND_TIMEOUT_S = 10


class Disconnected(Failed):
    """The engine went away, or is not there. Whether the call in hand was carried out is not known."""


class _Pending:
    """A caller waiting for its reply."""

    def __init__(self, on_reply: Callable[[Any], None] | None) -> None:
        self.on_reply = on_reply
        self.done = threading.Event()
        self.reply: wire.Message | None = None  # None with `done` set: the connection was lost


class Connection:
    """One connection to the engine, shared by all threads of a process.

    Args:
        path: the unix socket.
        timeout_s: how long a call waits for its reply, unless it says otherwise.
        reconnect: connect again by itself; the command line does not want that.
    """

    def __init__(self, path: os.PathLike[str] | str, *, timeout_s: float = 30.0, reconnect: bool = True) -> None:
        self._path = os.fspath(path)
        self._timeout_s = timeout_s
        self._reconnect = reconnect
        self._ids = itertools.count(1)
        self._send_lock = threading.Lock()
        self._state = threading.Condition()  # guards the four below
        self._socket: socket.socket | None = None
        self._pending: dict[int, _Pending] = {}
        self._closed = False
        self._problem = ""
        self._listeners: tuple[Listener, ...] = ()
        self._thread = threading.Thread(target=self._run, name="engine-reader", daemon=True)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the reader thread. Does not wait for the connection: the first call does."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End the connection and the reader thread; callers still waiting get `Disconnected`."""
        with self._state:
            self._closed = True
            self._hang_up()
            self._state.notify_all()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._socket is not None

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every event, on the reader thread: it must return soon and must not call the engine.

        Returns: a function that takes it off again.
        """
        with self._state:
            self._listeners += (listener,)

        def remove() -> None:
            with self._state:
                self._listeners = tuple(other for other in self._listeners if other is not listener)

        return remove

    # -- asking -------------------------------------------------------------------------------------------------------

    def call(
        self,
        call: str,
        args: wire.Message | None = None,
        *,
        timeout_s: float | None = None,
        again: bool = False,
        on_reply: Callable[[Any], None] | None = None,
    ) -> Any:
        """Ask and wait for the answer.

        Args:
            again: the call may be carried out twice without harm, so ask once more if the connection breaks.
            on_reply: told the value on the reader thread, before any message that came after it is looked at: who
                attaches a stream enters it in its books here, else its first output may come too early for them.

        Raises:
            EngineError: what the engine said. Disconnected: it is not there. Failed: no answer in time.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("an event listener must not call the engine: it would wait for itself")
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            try:
                return wire.result(self._ask(call, args or {}, deadline, on_reply))
            except Disconnected:
                if not again or not self._reconnect or self._closed or time.monotonic() >= deadline:
                    raise

    def tell(self, call: str, args: wire.Message) -> None:
        """Send a one-way request: no answer, no word on whether it worked.

        Raises:
            Disconnected: there is no connection now; what was to be sent is not kept.
        """
        with self._state:
            connection = self._socket
        if connection is None:
            raise self._unreachable()
        self._send(connection, wire.encode(wire.request(call, args)))

    def _ask(
        self, call: str, args: wire.Message, deadline: float, on_reply: Callable[[Any], None] | None
    ) -> wire.Message:
        ident, pending = next(self._ids), _Pending(on_reply)
        frame = wire.encode(wire.request(call, args, ident))
        with self._state:
            self._state.wait_for(
                lambda: self._socket is not None or self._closed or not self._thread.is_alive(),
                max(0.0, deadline - time.monotonic()),
            )
            connection = self._socket
            if connection is None:
                raise self._unreachable()
            self._pending[ident] = pending
        try:
            self._send(connection, frame)
            if not pending.done.wait(max(0.0, deadline - time.monotonic())):
                raise Failed(f"The engine did not answer {call} in time.", "Its log says what it is busy with.")
        finally:
            with self._state:
                self._pending.pop(ident, None)
        if pending.reply is None:
            raise Disconnected(f"The connection to the engine broke during {call}.", "It comes back by itself.")
        return pending.reply

    def _send(self, connection: socket.socket, frame: bytes) -> None:
        try:
            with self._send_lock:
                connection.sendall(frame)
        except OSError as error:  # part of a frame may be out: the connection cannot be used any more
            with self._state:
                if self._socket is connection:
                    self._hang_up()
            raise Disconnected(f"The connection to the engine broke: {error.strerror}.", "Try again.") from error

    def _unreachable(self) -> Disconnected:
        why = f": {self._problem}" if self._problem else ""
        return Disconnected(f"The engine does not answer on {self._path}{why}.", "Start it with `hako up`.")

    # -- the reader thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait_s = BACKOFF_FIRST_S
        while not self._closed:
            connection = self._connect()
            if connection is not None:
                wait_s = BACKOFF_FIRST_S
                self._emit({"event": "connected"})
                self._read(connection)
                self._lost()
                self._emit({"event": "disconnected"})
            if not self._reconnect:
                break
            with self._state:
                # Jitter: after a restart of the engine not every client should knock in the same millisecond.
                self._state.wait_for(lambda: self._closed, wait_s * (0.5 + os.urandom(1)[0] / 512))
            wait_s = min(wait_s * 2, BACKOFF_LAST_S)
        with self._state:
            self._closed = True
            self._state.notify_all()

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # SO_SNDTIMEO and not settimeout(): the reader shall wait for ever, the senders not.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        try:
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            self._problem = error.strerror or str(error)
            return None
        with self._state:
            if self._closed:
                connection.close()
                return None
            self._socket = connection
            self._state.notify_all()
        return connection

    def _read(self, connection: socket.socket) -> None:
        decoder = wire.Decoder()
        while True:
            try:
                data = connection.recv(RECEIVE)
            except OSError as error:
                self._problem = error.strerror or str(error)
                return
            if not data:
                self._problem = "it closed the connection"
                return
            for message in decoder.feed(data):
                self._deliver(message)

    def _deliver(self, message: wire.Message | wire.Malformed) -> None:
        if isinstance(message, wire.Malformed):
            self._emit(wire.failure(None, message.error))
        elif "event" in message:
            self._emit(message)
        else:
            ident = message.get("id")
            with self._state:
                pending = self._pending.get(ident) if isinstance(ident, int) else None
            if pending is not None:  # else its caller gave up waiting
                if pending.on_reply is not None and "ok" in message:
                    self._guarded(pending.on_reply, message["ok"])
                pending.reply = message
                pending.done.set()

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            self._guarded(listener, event)

    @staticmethod
    def _guarded(listener: Callable[[Any], None], value: Any) -> None:
        try:
            listener(value)
        except Exception:  # the border of the event: one bad listener must not silence all others
            import logging  # here, since `hako run` starts faster without it

            logging.getLogger(__name__).exception("a listener of engine events failed")

    def _hang_up(self) -> None:
        """Wake the reader out of recv(); it closes the socket itself. Call with `_state` held."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was faster
                pass

    def _lost(self) -> None:
        with self._state:
            connection, self._socket = self._socket, None
            waiting, self._pending = list(self._pending.values()), {}
        for pending in waiting:
            pending.done.set()
        with self._send_lock:  # nobody may be inside sendall() on a number that is about to be given away again
            if connection is not None:
                connection.close()
