"""One connection to a socket of the engine: requests in, answers and events out, nothing unbounded in between.

Requests are taken in order. A handler that is a plain function is done before the next request is looked at; one that
is a coroutine runs beside the others and may be overtaken.

Nothing a client does, or leaves undone, costs others anything:
- a client that does not read makes its transport's buffer full; from then on its requests are not read either, its
  streams are not pulled (`on_writable` tells them when to go on) and its news are kept as one, the newest, per subject;
- at most `CALLS` of its calls run at once; then its requests wait in the socket;
- what it sends wrong gets an error as its answer, and the connection lives on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from engine.api import wire
from engine.api.args import Args
from engine.errors import BadInput, EngineError, Failed

log = structlog.get_logger(__name__)

Handler = Callable[["Peer", Args], Any]

# Bytes waiting in a transport: above HIGH_WATER its peer counts as one that does not read. Four streams' worth of
# credit, so that a healthy web server is never seen as slow, and some 30 MB if all connections stall at once.
HIGH_WATER = 512 * 1024
LOW_WATER = 128 * 1024
CALLS = 256
NEWS = 4096  # subjects of which the newest word is kept for a peer that does not read


def abandonable(handler: Handler) -> Handler:
    """Mark a call that only waits: when its client goes away, so does it."""
    handler.abandonable = True  # type: ignore[attr-defined]
    return handler


class Host(Protocol):
    """What a peer wants of the server it belongs to."""

    def admit(self, peer: Peer) -> None:
        """A new peer is there; it may be refused."""

    def forget(self, peer: Peer) -> None:
        """A peer is gone."""

    def handler(self, call: str) -> Handler:
        """The handler of a call; raises BadInput where there is none."""


@dataclass(frozen=True)
class Credentials:
    """Who is on the other side, as the kernel says."""

    pid: int
    uid: int
    gid: int


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._decoder = wire.Decoder()
        self._waiting: deque[wire.Message | wire.Malformed] = deque()  # at most what one read brought
        self._calls: set[asyncio.Task[None]] = set()
        self._abandonable: set[asyncio.Task[None]] = set()
        self._news: dict[tuple[str, ...], wire.Message] = {}
        self._reading = True
        self._transport: asyncio.Transport | None = None
        self.writable = False
        self.credentials = Credentials(0, -1, -1)
        self.on_writable: list[Callable[[], None]] = []
        self.on_close: list[Callable[[], None]] = []

    # -- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.writable = transport, True
        transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        sock = transport.get_extra_info("socket")
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.credentials = Credentials(*struct.unpack("3i", raw))
        self._server.admit(self)

    def data_received(self, data: bytes) -> None:
        self._waiting.extend(self._decoder.feed(data))
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable, self._transport = False, None
        self._news.clear()
        self._waiting.clear()
        for call in self._abandonable:  # the others run to their end: a lab must not be left half-made
            call.cancel()
        for closed in self.on_close:
            closed()
        self._server.forget(self)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        news, self._news = self._news, {}
        for message in news.values():
            self.send(message)
        for go_on in self.on_writable:
            if not self.writable:  # full again: the rest waits for the next turn
                break
            go_on()
        self._go_on()

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, message: wire.Message) -> None:
        """Write a message. What is not an answer asks `writable` first, or is told by `tell_news`."""
        if self._transport is None:
            return
        try:
            frame = wire.encode(message)
        except BadInput as error:
            ident = message.get("id")
            log.error("message_not_sent", problem=error.message, event_name=message.get("event"))
            frame = wire.encode(wire.failure(ident, Failed("The answer does not fit into a frame.", error.message)))
        self._transport.write(frame)

    def tell_news(self, subject: tuple[str, ...], message: wire.Message) -> None:
        """Write an event whose newest word is the only one that counts; a peer that does not read gets it later."""
        if self.writable:
            self.send(message)
        elif self._transport is not None:
            self._news.pop(subject, None)
            self._news[subject] = message
            if len(self._news) > NEWS:
                del self._news[next(iter(self._news))]

    def close(self) -> None:
        """Hang up, after what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    # -- requests -----------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Take requests, and read more of them, only while answers go out and not too many calls are under way."""
        while self._waiting and self.writable and len(self._calls) < CALLS:
            message = self._waiting.popleft()
            if isinstance(message, wire.Malformed):
                self.send(wire.failure(None, message.error))
            else:
                self._take(message)
        wanted = not self._waiting
        if self._transport is not None and wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _take(self, message: wire.Message) -> None:
        ident = message.get("id")
        try:
            request = wire.parse_request(message)
            handler = self._server.handler(request.call)
            value = handler(self, Args(request.call, request.args))
        except Exception as error:  # the border of the request
            self._refuse(ident if isinstance(ident, int) else None, str(message.get("call")), error)
            return
        if asyncio.iscoroutine(value):
            task = asyncio.get_running_loop().create_task(self._finish(request, value))
            self._calls.add(task)
            if getattr(handler, "abandonable", False):
                self._abandonable.add(task)
            task.add_done_callback(self._done)
        elif request.id is not None:
            self.send(wire.ok(request.id, value))

    async def _finish(self, request: wire.Request, work: Awaitable[Any]) -> None:
        try:
            value = await work
        except Exception as error:  # the border of the task
            self._refuse(request.id, request.call, error)
        else:
            if request.id is not None:
                self.send(wire.ok(request.id, value))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._abandonable.discard(task)
        self._go_on()

    def _refuse(self, ident: int | None, call: str, error: Exception) -> None:
        answer = wire.failure(ident, as_engine_error(call[:64], error))
        self.send(answer if ident is not None else {**answer, "call": call[:64]})


def as_engine_error(call: str, error: Exception) -> EngineError:
    """What a client is told of an exception; what nobody foresaw is logged with its trace."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, TimeoutError):  # before OSError, which it is one of
        return Failed(f"{call} took too long and was given up.", "Try again; the engine's log says what was slow.")
    if isinstance(error, OSError):
        return Failed(f"{call}: {error}.", "The engine's log has more.")
    log.exception("call_failed", call=call, exc_info=error)
    return Failed(f"{call} met a fault of the engine: {type(error).__name__}.", "The engine's log has the details.")
