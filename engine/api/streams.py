"""What of a terminal's output is sent to whom, and when: credit and gathering, as pure state machines.

A terminal counts the bytes its pty gave since it was opened; that count, the *offset*, is the only number here. A ring
keeps the newest bytes [start, end). A `Stream` is one client's way through them, a `Channel` all streams of one
terminal. They are told what happened and the time; they answer with `Send` and `Reset`, the moment they want to be
asked again, and how many more bytes may be read from the pty. They never see a byte, a socket or a clock of their own.

- credit: a client acknowledges, cumulatively, what it consumed. At `window` bytes sent and not consumed a stream stops,
  below `low` it goes on. Lost, repeated or late acknowledgements do no harm.
- window: what is on its way must be drawn before a Ctrl-C is seen to work. So it is `HIGH` for a client that keeps up,
  and for a slow one what it draws in `SIGHT_S`, by the pace of its acknowledgements.
- gathering: after 8 ms of silence a byte goes out at once (an echo waits for nothing); in a flood bytes collect until
  8 ms after the last message or until a message is full.
- the pty is read only as far as its owner's credit goes. That is all the back-pressure there is: the kernel puts the
  writer to sleep when nobody reads. A watcher holds nobody up; one that falls off the ring gets a `Reset`. Of several
  owners (tabs of one person) the newest counts; one that stands still, as a hidden tab does, gives way to the others
  until it has caught up.
- when the owner goes, the pty may fill the ring but not overrun what the owner has not consumed, for `GRACE_S`: so a
  page that reloads, or a web server that was killed, comes back and misses nothing. Then the programs run freely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# 128 KiB is 4 to 26 ms of work for xterm.js; of a 100 KB/s line it would be more than a second.
HIGH = 128 * 1024
LOW = 32 * 1024
# What a client collects before it acknowledges, unless nothing comes for 200 ms: `low` must be above it, else both
# would wait for each other; and only so much at once tells how fast it draws.
ACK = 16 * 1024
# The least window: half of it is `low`.
LEAST = 34 * 1024
SIGHT_S = 0.3
MESSAGE = 32 * 1024
GATHER_S = 0.008
GRACE_S = 60.0
STUCK_S = 1.0
# A client that knows nothing gets this much of the past: about a thousand lines, as many as its scrollback keeps.
SNAPSHOT = 64 * 1024
NEVER = 2**63 - 1


@dataclass(frozen=True)
class Send:
    """Send the bytes [start, end) of the ring on this stream."""

    stream: int
    start: int
    end: int


@dataclass(frozen=True)
class Reset:
    """Tell the client that bytes were lost to it: it clears its screen and goes on from `offset`."""

    stream: int
    offset: int


Action = Send | Reset


@dataclass
class Stream:
    """One client's way through a terminal's output.

    `sent` is the offset after the last byte sent, `consumed` after the last one acknowledged; `align` moves the start
    of a snapshot on to the next line, so that it does not begin inside an escape sequence.
    """

    id: int
    owner: bool
    sent: int
    align: Callable[[int], int] = int
    consumed: int = field(init=False)
    wake_at: float | None = field(init=False, default=None)  # when to call take() again if nothing else happens
    blocked: bool = field(init=False, default=False)  # out of credit
    blocked_at: float = field(init=False, default=0.0)
    lagging: bool = field(init=False, default=False)  # was stuck and has not caught up
    window: int = field(init=False, default=HIGH)
    _pace: float = field(init=False, default=0.0)  # bytes a second, of a client that had something to draw
    _busy_since: float = field(init=False, default=float("inf"))
    _last_send: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self.consumed = self.sent

    @property
    def unacked(self) -> int:
        """Bytes on their way: never more than `HIGH`."""
        return self.sent - self.consumed

    @property
    def low(self) -> int:
        """Below so many bytes on their way a stream that stopped goes on."""
        return min(LOW, self.window // 2)

    def ack(self, consumed: int, now: float) -> None:
        """The client consumed all before this offset. What was never sent cannot be consumed."""
        consumed = max(self.consumed, min(consumed, self.sent))
        if consumed - self.consumed >= ACK:
            self._keep_pace(consumed - self.consumed, now)
        if consumed > self.consumed:
            self._busy_since = now
        self.consumed = consumed
        if self.blocked and self.unacked < self.low:
            self.blocked = False

    def _keep_pace(self, consumed: int, now: float) -> None:
        """A client is as fast as it was lately: one late acknowledgement (a busy processor) makes it little slower."""
        if now > self._busy_since:
            pace = consumed / (now - self._busy_since)
            self._pace = max(pace, self._pace / 4)
            self.window = int(min(max(LEAST, self._pace * SIGHT_S), HIGH))

    def take(self, start: int, end: int, now: float) -> list[Action]:
        """What to send now that the ring holds [start, end)."""
        self.wake_at = None
        if self.blocked:
            return []
        actions: list[Action] = []
        if not start <= self.sent <= end:
            self.sent = self.consumed = self.align(snapshot_start(start, end))
            actions.append(Reset(self.id, self.sent))
        while (pending := end - self.sent) > 0 and self.unacked < self.window:
            if pending < MESSAGE and now < self._last_send + GATHER_S:
                self.wake_at = self._last_send + GATHER_S
                break
            if self.unacked == 0:
                self._busy_since = now
            size = min(pending, MESSAGE, self.window - self.unacked)
            actions.append(Send(self.id, self.sent, self.sent + size))
            self.sent += size
            self._last_send = now
        if self.unacked >= self.window:
            self.blocked, self.blocked_at = True, now
        return actions


def snapshot_start(start: int, end: int) -> int:
    """Where a client that knows nothing begins, in a ring of [start, end)."""
    return max(start, end - SNAPSHOT)


class Channel:
    """All streams of one terminal, and the gate of its pty.

    Args:
        ring: bytes the terminal's ring holds.
        seen: for a terminal of an earlier life of the daemon, the offset up to which its owner surely has consumed;
            None for a terminal that is new.
        now: the time, in seconds of any clock that only goes forward.
        align: see `Stream`.
    """

    def __init__(
        self, ring: int, *, seen: int | None = None, now: float = 0.0, align: Callable[[int], int] = int
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self._ring = ring
        self._align = align
        self._held = False
        self._seen = 0 if seen is None else seen
        self._grace_ends = float("-inf") if seen is None else now + GRACE_S

    @property
    def owner(self) -> Stream | None:
        """The stream whose credit gates the pty: of those that came as owner the newest that does not lag."""
        owners = [stream for stream in reversed(self.streams.values()) if stream.owner]
        return next((stream for stream in owners if not stream.lagging), owners[0] if owners else None)

    def attach(self, id: int, offset: int, *, owner: bool, consumed: int | None = None) -> Stream:
        """Begin a stream at `offset`. A second owner takes over; the first goes on without holding the pty.

        `consumed`: the client has bytes up to `offset` but has not yet consumed those from here on. Its credit goes on
        from where it was on a connection that broke, else each break would put as much again on its way.
        """
        stream = self.streams[id] = Stream(id, owner, offset, self._align)
        if consumed is not None:
            stream.consumed = min(max(consumed, offset - HIGH), offset)
            stream.blocked = stream.unacked >= stream.window
        return stream

    def detach(self, id: int, now: float) -> None:
        """End a stream. When the last owner goes the grace begins."""
        stream = self.streams.pop(id)
        if stream.owner and self.owner is None:
            self._seen, self._grace_ends = stream.consumed, now + GRACE_S

    def take(
        self, start: int, end: int, now: float, may_send: Callable[[int], bool] = lambda id: True
    ) -> Iterator[Action]:
        """What to send now; `may_send` is asked before each stream whether its connection takes more."""
        for stream in list(self.streams.values()):
            if may_send(stream.id):
                yield from stream.take(start, end, now)
            else:
                stream.wake_at = None  # whoever waits for the connection asks again, not a clock

    def room(self, end: int, now: float) -> int | None:
        """How many more bytes may be read from the pty now that `end` were; None where nothing bounds them."""
        self._look_for_laggards(end, now)
        owner = self.owner
        if owner is None:
            return max(0, self._seen + self._ring - end) if now < self._grace_ends else None
        behind = end - owner.consumed
        self._held = behind >= owner.window or (self._held and behind >= owner.low)
        return 0 if self._held else owner.window - behind

    def _look_for_laggards(self, end: int, now: float) -> None:
        for stream in self.streams.values():
            if stream.blocked and now >= stream.blocked_at + STUCK_S:
                stream.lagging = True
            elif stream.consumed == end:
                stream.lagging = False

    def wake_at(self, end: int, now: float) -> float | None:
        """When to ask again if nothing else happens."""
        times = [stream.wake_at for stream in self.streams.values() if stream.wake_at is not None]
        owner = self.owner
        if (
            owner is not None
            and owner.blocked
            and not owner.lagging
            and any(other.owner for other in self.streams.values() if other is not owner)
        ):
            times.append(owner.blocked_at + STUCK_S)
        if owner is None and now < self._grace_ends and self.room(end, now) == 0:
            times.append(self._grace_ends)
        return min(times, default=None)

    def patient_until(self, end: int) -> int:
        """Up to this offset new bytes change nothing before the time of `wake_at`: no message would be full."""
        waiting = [stream for stream in self.streams.values() if not stream.blocked]
        if any(stream.wake_at is None for stream in waiting):
            return end
        return min((stream.sent + MESSAGE - 1 for stream in waiting), default=NEVER)
