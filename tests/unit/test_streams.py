"""Credit and gathering, case by case."""

from __future__ import annotations

from engine.api.streams import (
    ACK,
    GATHER_S,
    GRACE_S,
    HIGH,
    LEAST,
    LOW,
    MESSAGE,
    SNAPSHOT,
    STUCK_S,
    Channel,
    Reset,
    Send,
    Stream,
)

RING = 256 * 1024


def test_an_echo_goes_out_at_once() -> None:
    """After 8 ms of silence a byte waits for nothing."""
    stream = Stream(1, True, 0)
    assert stream.take(0, 1, now=10.0) == [Send(1, 0, 1)]
    assert stream.take(0, 2, now=10.0 + GATHER_S + 0.001) == [Send(1, 1, 2)]


def test_output_that_dribbles_is_gathered_for_8_ms() -> None:
    """Right behind a message bytes wait, and the machine says until when."""
    stream = Stream(1, True, 0)
    stream.take(0, 1, now=10.0)
    assert stream.take(0, 500, now=10.001) == []
    assert stream.wake_at == 10.0 + GATHER_S
    assert stream.take(0, 900, now=stream.wake_at) == [Send(1, 1, 900)]
    assert stream.wake_at is None


def test_a_full_message_waits_for_no_clock() -> None:
    """In a flood the size decides, not the time."""
    stream = Stream(1, True, 0)
    stream.take(0, 1, now=10.0)
    assert stream.take(0, 1 + MESSAGE, now=10.0) == [Send(1, 1, 1 + MESSAGE)]


def test_a_stream_stops_at_high_and_goes_on_below_low() -> None:
    """Acknowledging a little does not start it again: else every 16 KiB would be one message."""
    stream = Stream(1, True, 0)
    sent = stream.take(0, RING, now=1.0)
    assert sum(action.end - action.start for action in sent if isinstance(action, Send)) == HIGH
    stream.ack(HIGH - LOW, now=1.001)
    assert stream.take(0, RING, now=2.0) == []
    stream.ack(HIGH - LOW + 1, now=2.0)
    assert stream.take(0, RING, now=2.0) != []


def flood(stream: Stream, pace: float, seconds: float, now: float = 0.0) -> float:
    """A client that draws so many bytes a second, and acknowledges each 16 KiB or what the last message left."""
    until = now + seconds
    while now < until:
        for action in stream.take(stream.sent, stream.sent + RING, now):
            assert isinstance(action, Send)
        drawn = min(ACK, stream.unacked)
        now += drawn / pace
        stream.ack(stream.consumed + drawn, now)
    return now


def test_a_slow_client_has_little_on_its_way() -> None:
    """A Ctrl-C is seen when that is drawn: within half a second at 100 KB/s. A fast client keeps all its credit."""
    slow = Stream(1, True, 0)
    flood(slow, 100_000, 5)
    assert slow.window == LEAST
    assert slow.unacked / 100_000 < 0.5
    fast = Stream(1, True, 0)
    flood(fast, 5_000_000, 0.5)
    assert fast.window == HIGH


def test_a_client_gets_its_credit_back_when_it_is_fast_again_and_keeps_it_through_a_hiccup() -> None:
    """A busy processor makes an acknowledgement late now and then."""
    stream = Stream(1, True, 0)
    slow_until = flood(stream, 100_000, 5)
    assert stream.window == LEAST
    fast_until = flood(stream, 5_000_000, 0.2, slow_until)
    assert stream.window == HIGH
    stream.ack(stream.consumed + ACK, fast_until + 0.25)
    assert stream.window == HIGH


def test_echoes_say_nothing_of_how_fast_a_client_draws() -> None:
    """What is acknowledged after 200 ms of silence was drawn long before."""
    stream = Stream(1, True, 0)
    for number in range(50):
        stream.take(0, number + 1, now=float(number))
        stream.ack(number + 1, now=number + 0.2)
    assert stream.window == HIGH


def test_the_pty_is_gated_by_the_owner_alone() -> None:
    """A watcher that reads nothing does not stop the programs; an owner that reads nothing does."""
    channel = Channel(RING)
    owner = channel.attach(1, 0, owner=True)
    channel.attach(2, 0, owner=False)
    list(channel.take(0, HIGH, 1.0))
    assert channel.room(HIGH, 1.0) == 0
    owner.ack(HIGH, 1.001)
    assert channel.room(HIGH, 1.0) == HIGH


def test_a_watcher_that_fell_off_the_ring_is_reset_once_it_reads_again() -> None:
    """While it does not read it is told nothing more: resets must not pile up either."""
    channel = Channel(RING)
    watcher = channel.attach(2, 0, owner=False)
    list(channel.take(0, HIGH, 1.0))
    start, end = 700_000, 700_000 + RING
    assert list(channel.take(start, end, 2.0)) == []
    watcher.ack(HIGH, 1.001)
    first, *rest = channel.take(start, end, 2.0)
    assert first == Reset(2, end - SNAPSHOT)
    assert rest[0] == Send(2, end - SNAPSHOT, end - SNAPSHOT + MESSAGE)


def test_a_second_owner_takes_over_and_gives_back() -> None:
    """The newest tab holds the pty; when it goes, the older one does."""
    channel = Channel(RING)
    first = channel.attach(1, 0, owner=True)
    second = channel.attach(2, 0, owner=True)
    assert channel.owner is second
    channel.detach(2, 1.0)
    assert channel.owner is first


def test_a_tab_that_stands_still_gives_way_until_it_has_caught_up() -> None:
    """Two tabs of one person: the newer is hidden and draws nothing; the older goes on after a second."""
    channel = Channel(RING)
    seen, hidden = channel.attach(1, 0, owner=True), channel.attach(2, 0, owner=True)
    list(channel.take(0, HIGH, 1.0))
    seen.ack(HIGH, 1.001)
    assert channel.room(HIGH, 1.0) == 0
    assert channel.wake_at(HIGH, 1.0) == 1.0 + STUCK_S
    assert channel.room(HIGH, 1.0 + STUCK_S) == HIGH
    hidden.ack(HIGH - 1, 1.001)  # a throttled tab draws a little now and then
    assert channel.room(HIGH, 2.5) == HIGH
    assert channel.owner is seen
    hidden.ack(HIGH, 2.55)
    channel.room(HIGH, 2.6)
    assert channel.owner is hidden


def test_a_tab_alone_is_waited_for_however_long() -> None:
    """With nobody to give way to, nothing may be overrun."""
    channel = Channel(RING)
    channel.attach(1, 0, owner=True)
    list(channel.take(0, HIGH, 1.0))
    assert channel.room(HIGH, 1000.0) == 0
    assert channel.wake_at(HIGH, 1000.0) is None


def test_without_an_owner_nothing_is_overrun_during_the_grace_and_then_programs_run_freely() -> None:
    """A reload of the page loses nothing; a closed page does not stop a build for ever."""
    channel = Channel(RING)
    channel.attach(1, 1000, owner=True)
    channel.detach(1, now=5.0)
    assert channel.room(1000, 5.0) == RING
    assert channel.room(1000 + RING, 6.0) == 0
    assert channel.wake_at(1000 + RING, 6.0) == 5.0 + GRACE_S
    assert channel.room(1000 + RING, 5.0 + GRACE_S) is None


def test_a_new_terminal_and_one_found_again_differ() -> None:
    """Nobody has seen the first line of a new one; after a restart of the daemon somebody may come back."""
    assert Channel(RING).room(10**6, 0.0) is None
    assert Channel(RING, seen=500, now=3.0).room(600, 3.0) == RING - 100


def test_credit_of_a_broken_connection_goes_on() -> None:
    """A client that has bytes it has not drawn gets only the rest of its credit, and no lie gives it more."""
    channel = Channel(RING)
    stream = channel.attach(1, 100_000, owner=True, consumed=100_000 - HIGH + 10)
    assert list(channel.take(0, RING, 1.0)) == [Send(1, 100_000, 100_010)]
    assert channel.room(100_010, 1.0) == 0
    stream.ack(100_010, 1.001)
    assert channel.room(100_010, 1.0) == HIGH
    assert channel.attach(2, 100_000 + HIGH, owner=True, consumed=0).unacked == HIGH
    assert channel.attach(3, 100, owner=True, consumed=200).unacked == 0
