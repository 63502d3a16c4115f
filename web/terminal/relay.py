"""Carries terminal bytes between pages and the engine, and remembers nothing it could not lose.

The engine counts the bytes of every pty; that offset travels with each output message and comes back as `consumed`. The
relay only translates: the page's stream number to the engine's and back. Two things make a lost connection harmless:

- the *page* went away: it attaches again from what it consumed, on a new connection. Nothing is kept for it here.
- the *engine* went away: every stream is attached again from the offset after the last byte handed to the page, so the
  page notices nothing but a sentence. If the engine no longer has those bytes it says `reset`, which is passed on.

Flow control is the engine's: it stops at 128 KiB not consumed, for a slow page sooner. That bounds the queue to a page.
This module does not know lessons, learners or HTTP.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog

from engine.client import LEAST, Attached, Disconnected, EngineClient, TerminalInfo
from engine.errors import EngineError, NotFound
from web.metrics import Metrics
from web.sockets.connections import Page

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Stream:
    """One terminal shown in one page. `sent` is the offset after the last byte handed to the page."""

    page: Page
    number: int
    name: str
    terminal: str
    rows: int
    cols: int
    engine_stream: int = -1
    sent: int = 0
    consumed: int = 0
    typed_at: float = 0.0
    #: It is so far behind that the engine would stop for the slowest page; here only to count how often that happens.
    full: bool = False
    #: Nobody looks any more; an answer of the engine that is still on its way must not bring it back.
    ended: bool = False


class Relay:
    """See the module. Threads may share it; `on_event` runs on the engine client's reader thread and never waits."""

    def __init__(self, engine: EngineClient, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._lock = threading.Lock()
        self._reattaching = threading.Lock()
        self._streams: dict[int, Stream] = {}  # by the engine's number
        self._by_page: dict[str, dict[int, Stream]] = {}  # by sid, then by the page's number

    # -- from the page ------------------------------------------------------------------------------------------------

    def attach(self, page: Page, name: str, number: int, offset: int | None, rows: int, cols: int) -> dict[str, Any]:
        """Show the terminal `name` of the page's lab in the page, making it if it is not there.

        Args:
            number: the page's own number for the stream, so that output may overtake the answer.
            offset: the byte to go on from; None for as much of the past as the engine gives.

        Raises:
            EngineError: no such lab, no free terminal, engine away.
        """
        info = self._engine.terminal_open(page.lab, name, rows, cols)
        with page.lock:
            page.terminals[name] = info.terminal
        for old in self._find(page, name):
            self.detach(page, old.number)
        stream = Stream(page, number, name, info.terminal, rows, cols)
        attached = self._attach(stream, offset)
        _log.info("terminal_attached", lab=page.lab, terminal=name, sid=page.sid, offset=attached.offset)
        if page.gone:  # it went while we asked: its disconnect found no stream to end
            self.drop(page)
        told = {"offset": attached.offset, "end": attached.end, "reset": attached.reset}
        return {"stream": number, "id": info.terminal, **told}

    def _attach(
        self, stream: Stream, offset: int | None, *, consumed: int | None = None, anew: bool = False
    ) -> Attached:
        attached = self._engine.terminal_attach(
            stream.terminal,
            offset,
            stream.rows,
            stream.cols,
            consumed=consumed,
            on_attached=lambda attached: self._enter(stream, attached, attached.reset or anew),
        )
        if stream.ended:
            # Its page went while we asked. A stream that nobody acknowledges would hold up the terminal for the others.
            self._end(attached.stream)
        return attached

    def _enter(self, stream: Stream, attached: Attached, reset: bool) -> None:
        """On the reader thread, before the stream's first output."""
        with self._lock:
            if stream.ended:
                return
            stream.engine_stream = attached.stream
            if reset or attached.offset != stream.sent:
                stream.sent = stream.consumed = attached.offset
            self._streams[attached.stream] = stream
            self._by_page.setdefault(stream.page.sid, {})[stream.number] = stream
        if reset:
            self._reset(stream, attached.offset)

    def detach(self, page: Page, number: int) -> None:
        """Show it no longer. The terminal goes on; a stream that ended with its terminal is no error."""
        stream = self._forget(page.sid, number)
        if stream is not None and stream.engine_stream >= 0:
            self._end(stream.engine_stream)

    def _end(self, engine_stream: int) -> None:
        try:
            self._engine.terminal_detach(engine_stream)
        except (NotFound, Disconnected):
            pass  # it ended with its terminal, or with the connection

    def drop(self, page: Page) -> None:
        """The page is gone, or its lab began afresh: end all its streams."""
        for stream in self.of_page(page):
            try:
                self.detach(page, stream.number)
            except EngineError as error:
                # Nothing to mend: an engine that is away has no stream, and a stream it does not know is ended.
                _log.debug("stream_gone", terminal=stream.name, reason=str(error))

    def input(self, page: Page, name: str, data: bytes) -> None:
        """Type bytes as they are.

        Raises:
            NotFound: the page has not attached a terminal of that name. Disconnected: the engine is away.
        """
        self._engine.terminal_input(self.terminal(page, name), data)
        self._metrics.bytes_in.inc(len(data))
        now = time.monotonic()
        for stream in self._find(page, name):
            stream.typed_at = stream.typed_at or now

    def type_once(self, page: Page, name: str, data: bytes, key: str) -> bool:
        """Type bytes unless the engine has seen this key; returns whether they were typed now."""
        return self._engine.terminal_type(self.terminal(page, name), data, key)

    def ack(self, page: Page, number: int, consumed: int) -> None:
        """The page has drawn all before the offset `consumed`."""
        stream = self._by_page.get(page.sid, {}).get(number)
        if stream is None:
            return  # of a stream that was replaced while the message travelled
        stream.consumed = max(stream.consumed, min(consumed, stream.sent))
        stream.full = stream.sent - stream.consumed >= LEAST
        if stream.engine_stream < 0:
            return  # the engine is away; it is told when the stream is taken up again
        try:
            self._engine.terminal_ack(stream.engine_stream, consumed)
        except Disconnected:
            pass  # it is told when the stream is taken up again

    def resize(self, page: Page, name: str, rows: int, cols: int) -> None:
        """Give the terminal a size."""
        for stream in self._find(page, name):
            stream.rows, stream.cols = rows, cols
        self._engine.terminal_resize(self.terminal(page, name), rows, cols)

    def close(self, page: Page, name: str) -> None:
        """Hang the terminal up; its processes get SIGHUP."""
        terminal = self.terminal(page, name)
        for stream in self._find(page, name):
            self.detach(page, stream.number)
        self._engine.terminal_close(terminal)
        with page.lock:
            page.terminals.pop(name, None)

    def terminal(self, page: Page, name: str) -> str:
        """The engine's id of a terminal this page attached.

        Raises:
            NotFound: it did not, whoever else may have.
        """
        terminal = page.terminals.get(name)
        if terminal is None:
            raise NotFound(f"This page has no terminal named {name[:32]!r}.", "Attach it first.")
        return terminal

    # -- from the engine ----------------------------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any]) -> None:
        """Pass on what the engine tells about streams; other events are not for us."""
        match event["event"]:
            case "terminal.output":
                self._output(event["stream"], event["offset"], event["data"])
            case "terminal.reset":
                stream = self._streams.get(event["stream"])
                if stream is not None:
                    stream.sent = event["offset"]
                    self._reset(stream, event["offset"])
            case "terminal.exit":
                stream = self._streams.get(event["stream"])
                if stream is not None:
                    stream.page.send("exit", stream.number, event["status"])
            case "disconnected":
                with self._lock:
                    for stream in self._streams.values():
                        stream.engine_stream = -1  # the next connection gives the same numbers to other streams
                    self._streams.clear()

    def _output(self, number: int, offset: int, data: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return  # detached while it was on its way
        stream.page.send("output", stream.number, offset, data)
        stream.sent = offset + len(data)
        self._metrics.bytes_out.inc(len(data))
        if stream.typed_at:
            self._metrics.echo.observe(time.monotonic() - stream.typed_at)
            stream.typed_at = 0.0
        if not stream.full and stream.sent - stream.consumed >= LEAST:
            stream.full = True
            self._metrics.paused.inc()

    def _reset(self, stream: Stream, offset: int) -> None:
        self._metrics.resets.inc()
        stream.page.send("reset", stream.number, offset)

    def reattach(self) -> None:
        """After the engine came back: take up every stream where the page's last byte ended. On a worker thread."""
        with self._reattaching:  # it may have gone and come twice meanwhile
            self._reattach()

    def _reattach(self) -> None:
        with self._lock:
            streams = [stream for streams in self._by_page.values() for stream in streams.values()]
        for stream in streams:
            if stream.ended or stream.engine_stream >= 0:  # one that the page itself attached since is
                continue
            try:
                self._attach_again(stream)
            except Disconnected:
                return  # gone again: the next "connected" comes back here
            except EngineError as error:
                _log.warning("terminal_lost", terminal=stream.name, lab=stream.page.lab, reason=str(error))
                self._forget(stream.page.sid, stream.number)
                stream.page.send("exit", stream.number, None)

    def _attach_again(self, stream: Stream) -> None:
        consumed = stream.consumed
        try:
            self._attach(stream, stream.sent, consumed=consumed)
            if stream.consumed > consumed:  # acknowledged while there was no stream to tell it of
                self.ack(stream.page, stream.number, stream.consumed)
        except NotFound:
            # The lab may live while the terminal does not: a new shell under the old name, from its beginning.
            page = stream.page
            stream.terminal = self._engine.terminal_open(page.lab, stream.name, stream.rows, stream.cols).terminal
            page.terminals[stream.name] = stream.terminal
            self._attach(stream, None, anew=True)

    # -- books --------------------------------------------------------------------------------------------------------

    def of_page(self, page: Page) -> list[Stream]:
        """The streams of a page."""
        with self._lock:
            return list(self._by_page.get(page.sid, {}).values())

    def _find(self, page: Page, name: str) -> list[Stream]:
        return [stream for stream in self.of_page(page) if stream.name == name]

    def _forget(self, sid: str, number: int) -> Stream | None:
        with self._lock:
            streams = self._by_page.get(sid, {})
            stream = streams.pop(number, None)
            if not streams:
                self._by_page.pop(sid, None)
            if stream is not None:
                stream.ended = True
                if self._streams.get(stream.engine_stream) is stream:
                    del self._streams[stream.engine_stream]
            return stream


def terminal_json(info: TerminalInfo) -> dict[str, Any]:
    """A terminal as pages see it. `id` tells one shell from the next under the same name; nothing is done by it."""
    return {
        "name": info.name,
        "id": info.terminal,
        "offset": info.offset,
        "start": info.start,
        "rows": info.rows,
        "cols": info.cols,
        "exited": info.exited is not None,
        "status": info.exited,
    }
