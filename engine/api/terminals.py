"""Terminals on the wire: carries out what the stream machine decides, on the loop of the daemon.

The bytes stay in the terminal's ring (`runtime/console.py`); a stream takes them from there when its client has credit
and its connection room, so nothing here grows. What decides is `streams.py`; what is kept here is which peer a stream
belongs to, one timer per terminal, and who was told that the shell has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from engine.api import wire
from engine.api.peer import Peer
from engine.api.streams import NEVER, Channel, Send, snapshot_start
from engine.errors import BadInput, Exhausted, NotFound

STREAMS_PER_TERMINAL = 64
ROWS = (2, 500)
COLS = (2, 1000)
# How far a snapshot may move on to begin at a line; longer lines than this are binary junk anyway.
LINE_SEARCH = 8 * 1024
NUDGE_S = 0.03


class Tty(Protocol):
    """What a stream needs of a terminal. Offsets count from the first byte the pty ever gave."""

    id: str
    rows: int
    cols: int

    @property
    def offset(self) -> int: ...
    @property
    def ring_start(self) -> int: ...
    @property
    def ring_size(self) -> int: ...
    @property
    def exited(self) -> int | None: ...
    @property
    def closed(self) -> bool: ...
    def read(self, offset: int, limit: int) -> tuple[int, bytes]: ...
    def read_until(self, offset: int | None) -> None:
        """Read the pty up to this offset and no further; None: without bound."""
        ...

    def resize(self, rows: int, cols: int) -> None: ...
    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]: ...


class Live:
    """One terminal, its streams and its timer."""

    def __init__(
        self, tty: Tty, on_closed: Callable[[], None], on_output: Callable[[], None], *, found_again: bool
    ) -> None:
        self.tty = tty
        self._on_output = on_output
        self._patient_until = 0
        self._on_closed = on_closed
        self.peers: dict[int, Peer] = {}
        self._told_exit: set[int] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # Of a terminal of an earlier life of the daemon nobody knows how far its page was: nothing kept may be overrun.
        seen = tty.ring_start if found_again else None
        self.channel = Channel(tty.ring_size, seen=seen, now=self._loop.time(), align=self.align)
        self._unsubscribe = tty.subscribe(self._changed)

    def align(self, offset: int) -> int:
        """The start of the next line at or after `offset`, if one is near."""
        if offset <= 0:
            return 0
        start, data = self.tty.read(offset - 1, LINE_SEARCH)
        newline = data.find(b"\n")
        return offset if newline < 0 else start + newline + 1

    def _changed(self) -> None:
        """The terminal has more, or has ended. In a flood this comes for every few kilobytes: mostly only gather."""
        if self._closed or self.tty.closed or self.tty.exited is not None or self.tty.offset > self._patient_until:
            self.pump()

    def pump(self) -> None:
        """Send what may be sent, then open or close the gate of the pty and set the timer."""
        if self._closed:
            return
        if self.tty.closed:
            self._on_closed()
            return
        tty, now = self.tty, self._loop.time()
        start, end = tty.ring_start, tty.offset
        for action in self.channel.take(start, end, now, self._may_send):
            peer = self.peers[action.stream]
            if isinstance(action, Send):
                offset, data = tty.read(action.start, action.end - action.start)
                peer.send(wire.event("terminal.output", stream=action.stream, offset=offset, data=data))
            else:
                peer.send(wire.event("terminal.reset", stream=action.stream, offset=action.offset))
        if tty.exited is not None:
            self._tell_exit(end, tty.exited)
        room = self.channel.room(end, now)
        until = None if room is None else end + room
        tty.read_until(until)
        self._set_timer(self.channel.wake_at(end, now))
        # At the gate it must be asked anew whether the gate is to close.
        self._patient_until = min(self.channel.patient_until(end), NEVER if until is None else until - 1)
        self._on_output()

    def _may_send(self, stream: int) -> bool:
        return self.peers[stream].writable

    def _tell_exit(self, end: int, status: int) -> None:
        """After the last byte, once on each stream."""
        for stream in self.channel.streams.values():
            if stream.sent == end and stream.id not in self._told_exit:
                self._told_exit.add(stream.id)
                self.peers[stream.id].send(wire.event("terminal.exit", stream=stream.id, status=status))

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None:
            if self._timer.when() == when:
                return
            self._timer.cancel()
        self._timer = None if when is None else self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()

    def ack(self, stream: int, consumed: int) -> None:
        """A client consumed all before this offset."""
        self.channel.streams[stream].ack(consumed, self._loop.time())
        self.pump()

    def detach(self, stream: int) -> None:
        """End a stream."""
        self.channel.detach(stream, self._loop.time())
        del self.peers[stream]
        self._told_exit.discard(stream)
        self.pump()

    def nudge(self) -> None:
        """Make a full-screen program paint anew: one row more for a moment (tty_ioctl(4), SIGWINCH)."""
        rows, cols = self.tty.rows, self.tty.cols

        def back() -> None:
            if not self.tty.closed and self.tty.exited is None and (self.tty.rows, self.tty.cols) == (rows + 1, cols):
                self.tty.resize(rows, cols)

        self.tty.resize(rows + 1, cols)
        self._loop.call_later(NUDGE_S, back)

    def close(self) -> None:
        """The terminal is no more."""
        self._closed = True
        if not self.tty.closed:  # one that is closed has forgotten its listeners itself
            self._unsubscribe()
        for stream, peer in self.peers.items():
            if stream not in self._told_exit:
                peer.send(wire.event("terminal.exit", stream=stream, status=None))
        self._set_timer(None)


class Terminals:
    """All terminals somebody attached to or the daemon found again."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._streams: dict[int, Live] = {}
        self._by_peer: dict[Peer, dict[int, None]] = {}
        self._next = 1

    def keep(self, tty: Tty, on_output: Callable[[], None] = lambda: None, *, found_again: bool = False) -> Live:
        """Begin to mind a terminal; from then on its pty is gated. `on_output` is told now and then of output."""
        live = self._live.get(tty.id)
        if live is None or live.tty is not tty:
            if live is not None:
                self.drop(tty.id)
            live = self._live[tty.id] = Live(tty, lambda: self.drop(tty.id), on_output, found_again=found_again)
        return live

    def drop(self, terminal: str) -> None:
        """The terminal is no more: its streams end."""
        live = self._live.pop(terminal, None)
        if live is not None:
            live.close()
            for stream in list(live.peers):
                self._end(stream)

    def followed(self, terminal: str) -> bool:
        """Whether anybody is attached to it."""
        live = self._live.get(terminal)
        return live is not None and bool(live.peers)

    def attach(
        self,
        peer: Peer,
        tty: Tty,
        offset: int | None,
        rows: int,
        cols: int,
        *,
        owner: bool,
        consumed: int | None = None,
    ) -> wire.Message:
        """Begin a stream. The first output may follow right behind the answer.

        Args:
            offset: the byte to go on from; None for a snapshot.
            consumed: see `Channel.attach`; without meaning for a snapshot.

        Returns:
            {stream, offset, reset, end}: where it begins, and whether that is not what was asked for.
        """
        live = self.keep(tty)
        if len(live.peers) >= STREAMS_PER_TERMINAL:
            raise Exhausted(f"Terminal {tty.id} has {STREAMS_PER_TERMINAL} streams already.", "Close a page.")
        start, end = tty.ring_start, tty.offset
        reset = offset is not None and not start <= offset <= end
        snapshot = offset is None or reset
        begin = live.align(snapshot_start(start, end)) if snapshot or offset is None else offset
        if owner:
            self.resize(tty, rows, cols)
        stream, self._next = self._next, self._next + 1
        live.peers[stream] = peer
        live.channel.attach(stream, begin, owner=owner, consumed=None if snapshot else consumed)
        self._streams[stream] = live
        self._mine(peer)[stream] = None
        asyncio.get_running_loop().call_soon(live.pump)  # behind the answer, which must come first
        if snapshot and begin > 0 and tty.exited is None:  # else it gets all there ever was, and needs no painting anew
            live.nudge()
        return {"stream": stream, "offset": begin, "reset": reset, "end": end}

    def detach(self, peer: Peer, stream: int) -> None:
        """End a stream of this peer."""
        self._of(peer, stream)
        self._end(stream)

    def ack(self, peer: Peer, stream: int, consumed: int) -> None:
        """A client consumed all before this offset. One that comes after the stream's end is no error."""
        live = self._streams.get(stream)
        if live is not None and live.peers[stream] is peer:
            live.ack(stream, consumed)

    @staticmethod
    def clamp(rows: int, cols: int) -> tuple[int, int]:
        """A size as a terminal can have it."""
        return min(max(rows, ROWS[0]), ROWS[1]), min(max(cols, COLS[0]), COLS[1])

    def resize(self, tty: Tty, rows: int, cols: int) -> None:
        """Give the terminal a size, within bounds; the kernel tells its programs."""
        rows, cols = self.clamp(rows, cols)
        if (tty.rows, tty.cols) != (rows, cols) and tty.exited is None:
            tty.resize(rows, cols)

    def _mine(self, peer: Peer) -> dict[int, None]:
        streams = self._by_peer.get(peer)
        if streams is None:
            streams = self._by_peer[peer] = {}
            peer.on_writable.append(lambda: self._go_on(peer))
            peer.on_close.append(lambda: self._forget(peer))
        return streams

    def _of(self, peer: Peer, stream: int) -> Live:
        live = self._streams.get(stream)
        if live is None:
            raise NotFound(f"No stream {stream}.", "It ended with its terminal or its connection: attach again.")
        if live.peers[stream] is not peer:
            raise BadInput(f"Stream {stream} belongs to another connection.")
        return live

    def _end(self, stream: int) -> None:
        live = self._streams.pop(stream)
        self._by_peer.get(live.peers[stream], {}).pop(stream, None)
        live.detach(stream)

    def _go_on(self, peer: Peer) -> None:
        """The peer reads again: its streams in turn, those first that waited longest."""
        mine = self._by_peer.get(peer, {})
        for stream in list(mine):
            if not peer.writable:
                break
            mine[stream] = mine.pop(stream)  # to the end of the queue
            self._streams[stream].pump()

    def _forget(self, peer: Peer) -> None:
        for stream in list(self._by_peer.get(peer, {})):
            self._end(stream)
        self._by_peer.pop(peer, None)
