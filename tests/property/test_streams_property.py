"""The credit and gather machine under random output, acknowledgements, detaches and re-attaches.

The model: a pty that always has more to say, read only as far as `room` allows; a ring; clients that keep what they
were sent. A byte is known by its offset, so ranges stand for bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.api.streams import GATHER_S, GRACE_S, HIGH, LEAST, MESSAGE, Channel, Reset, Send, snapshot_start

RING = 256 * 1024


@dataclass
class Client:
    """What one page knows."""

    owner: bool
    received: int  # offset after the last byte that arrived
    consumed: int  # what it acknowledged, or will come back with
    resets: int = 0
    stream: int | None = None
    sizes: list[int] = field(default_factory=list)


class Terminal(RuleBasedStateMachine):
    """One owner that comes and goes, up to three watchers, one pty."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.end, self.next_stream = 0.0, 0, 1
        self.away_since: float | None = None
        self.channel = Channel(RING)
        self.owner = Client(True, 0, 0)
        self.watchers: list[Client] = []

    @property
    def start(self) -> int:
        return max(0, self.end - RING)

    def everyone(self) -> list[Client]:
        return [client for client in (self.owner, *self.watchers) if client.stream is not None]

    def attach(self, client: Client) -> None:
        client.stream, self.next_stream = self.next_stream, self.next_stream + 1
        offset = client.consumed
        if not self.start <= offset <= self.end:  # the server's reply says reset
            offset = snapshot_start(self.start, self.end)
            client.resets += 1
        client.received = client.consumed = offset
        self.channel.attach(client.stream, offset, owner=client.owner)

    def pump(self) -> None:
        clients = {client.stream: client for client in self.everyone()}
        for action in self.channel.take(self.start, self.end, self.now):
            client = clients[action.stream]
            if isinstance(action, Reset):
                assert action.offset > client.received, "a reset goes forward"
                assert self.start <= action.offset <= self.end
                client.received = client.consumed = action.offset
                client.resets += 1
                continue
            assert isinstance(action, Send)
            assert action.start == client.received, "no byte lost, none doubled"
            assert action.start < action.end <= self.end
            assert action.start >= self.start, "the bytes are still in the ring"
            assert action.end - action.start <= MESSAGE
            client.received = action.end

    @initialize()
    def open(self) -> None:
        self.attach(self.owner)

    @rule(size=st.integers(1, 100_000))
    def produce(self, size: int) -> None:
        room = self.channel.room(self.end, self.now)
        self.end += size if room is None else min(size, room)
        self.pump()

    @rule(step=st.sampled_from([0.0001, 0.004, GATHER_S, 0.1, 5.0]))
    def pass_time(self, step: float) -> None:
        self.now += step
        self.pump()

    @rule(who=st.integers(0, 3), part=st.floats(0, 1))
    def acknowledge(self, who: int, part: float) -> None:
        clients = self.everyone()
        if clients:
            client = clients[who % len(clients)]
            client.consumed += int((client.received - client.consumed) * part)
            assert client.stream is not None
            self.channel.streams[client.stream].ack(client.consumed, self.now)
            self.pump()

    @rule(who=st.integers(0, 3), consumed=st.integers(-5, 2**41))
    def acknowledge_nonsense(self, who: int, consumed: int) -> None:
        """A client that lies hurts itself only: it is held to have consumed no more than it was sent."""
        clients = [client for client in self.everyone() if not client.owner]
        if clients:
            client = clients[who % len(clients)]
            assert client.stream is not None
            stream = self.channel.streams[client.stream]
            stream.ack(consumed, self.now)
            assert stream.consumed <= stream.sent
            client.consumed = stream.consumed
            self.pump()

    @precondition(lambda self: self.owner.stream is not None)
    @rule()
    def owner_leaves(self) -> None:
        """Bytes on their way are lost with the page: it comes back with what it consumed."""
        self.channel.detach(self.owner.stream, self.now)  # type: ignore[arg-type]
        self.owner.stream, self.away_since = None, self.now

    @precondition(lambda self: self.owner.stream is None)
    @rule()
    def owner_comes_back(self) -> None:
        before = self.owner.resets
        self.attach(self.owner)
        if self.away_since is not None and self.now - self.away_since < GRACE_S:
            assert self.owner.resets == before, "within the grace nothing is lost"
        self.away_since = None
        self.pump()

    @precondition(lambda self: len(self.watchers) < 3)
    @rule()
    def watcher_joins(self) -> None:
        watcher = Client(False, 0, snapshot_start(self.start, self.end))
        self.watchers.append(watcher)
        self.attach(watcher)
        self.pump()

    @precondition(lambda self: bool(self.watchers))
    @rule(who=st.integers(0, 2))
    def watcher_leaves(self, who: int) -> None:
        watcher = self.watchers.pop(who % len(self.watchers))
        self.channel.detach(watcher.stream, self.now)  # type: ignore[arg-type]

    @invariant()
    def credit_bounds_what_is_on_its_way(self) -> None:
        """Memory: no more than HIGH a stream."""
        assert all(0 <= stream.unacked <= HIGH for stream in self.channel.streams.values())

    @invariant()
    def the_ring_never_overruns_an_owner(self) -> None:
        """Backpressure is real: while the owner is there, what it has not consumed is kept."""
        if self.owner.stream is not None:
            assert self.start <= self.owner.consumed

    def teardown(self) -> None:
        """Liveness: with clients that consume, everything arrives in the end, however far behind they are."""
        for _ in range(100):
            self.now += 1.0
            self.pump()
            for client in self.everyone():
                client.consumed = client.received
                assert client.stream is not None
                self.channel.streams[client.stream].ack(client.consumed, self.now)
        assert all(client.received == self.end for client in self.everyone())
        if self.owner.stream is not None:
            owner = self.channel.owner
            assert owner is not None
            assert self.channel.room(self.end, self.now) == owner.window >= LEAST, "and the pty is read again"


TestTerminal = Terminal.TestCase
TestTerminal.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
