"""Messages for a slow reader: in order, made when they are sent, bounded."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from engine.runtime import channel, outbox
from engine.runtime.outbox import Outbox


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection, neither end of which waits."""
    ours, theirs = channel.pair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def received(sock: socket.socket) -> list[int]:
    """The numbers of all messages that have come."""
    numbers = []
    while True:
        try:
            message = channel.receive(sock)
        except BlockingIOError:
            return numbers
        assert message is not None
        numbers.append(message[0]["number"])


def test_what_does_not_fit_waits_and_keeps_its_order(ends: tuple[socket.socket, socket.socket]) -> None:
    """Two thousand messages at once, read little by little: all, in order; writability is asked for only meanwhile."""
    ours, theirs = ends
    asked: list[int] = []
    box = Outbox(ours, asked.append)
    for number in range(2000):
        box.put(lambda number=number: ({"number": number}, {}))
    assert asked[-1] == select.POLLIN | select.POLLOUT
    numbers = received(theirs)
    assert 0 < len(numbers) < 2000
    while asked[-1] & select.POLLOUT:
        box.flush()
        numbers += received(theirs)
    assert numbers == list(range(2000))


def test_a_message_is_made_when_it_is_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    """What nobody has to know any more by then is left out."""
    ours, theirs = ends
    living = {"one"}
    box = Outbox(ours, lambda events: None)
    while True:  # fill the socket
        full: list[int] = []
        box = Outbox(ours, full.append)
        box.put(lambda: ({"number": -1}, {}))
        if full[-1] & select.POLLOUT:
            break
    box.put(lambda: ({"number": 1}, {}) if "one" in living else None)
    box.put(lambda: ({"number": 2}, {}))
    living.clear()
    received(theirs)
    box.flush()
    assert received(theirs)[-2:] == [-1, 2]


def test_an_end_that_does_not_read_or_is_gone_is_an_error(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender gives it up and stays small."""
    ours, theirs = ends
    monkeypatch.setattr(outbox, "LIMIT", 10)
    box = Outbox(ours, lambda events: None)
    with pytest.raises(OSError, match="does not read"):
        for _ in range(100_000):
            box.put(lambda: ({"number": 0}, {}))
    theirs.close()
    with pytest.raises(OSError):
        box.flush()
