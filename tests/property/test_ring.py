"""The console keeps every byte, whatever instruction its daemon dies at."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.runtime import console as consoles
from engine.runtime.console import CAPACITY, Console, Ring


@given(st.lists(st.binary(min_size=1, max_size=CAPACITY // 3), max_size=8))
@settings(max_examples=40)
def test_ring_is_the_end_of_the_stream(pieces: list[bytes]) -> None:
    """What the ring holds is the last CAPACITY bytes of what was appended, by offset."""
    ring = Ring.create()
    for piece in pieces:
        ring.append(piece)
    whole = b"".join(pieces)
    assert ring.head == len(whole)
    assert ring.read(0, ring.head) == whole[-CAPACITY:] if whole else ring.read(0, 1) == b""
    middle = (ring.start + ring.head) // 2
    assert ring.read(middle, ring.head) == whole[middle:]
    ring.close()


class Killed(Exception):
    """The daemon died here."""


def _die_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `steps` calls happen, then die before the next one."""
    left = [steps]

    def dying(function: object) -> object:
        def call(*args: object, **words: object) -> object:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return function(*args, **words)  # type: ignore[operator]

        return call

    monkeypatch.setattr(consoles.os, "splice", dying(os.splice))
    monkeypatch.setattr(consoles.syscalls, "tee", dying(consoles.syscalls.tee))
    monkeypatch.setattr(Ring, "append", dying(Ring.append))
    monkeypatch.setattr(Ring, "settle", dying(Ring.settle))


@pytest.mark.parametrize("steps", range(6))
def test_killed_at_any_step(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new console on the same descriptors goes on with the next byte: none lost, none twice."""
    read, write = os.pipe2(os.O_NONBLOCK)
    pipe, ring = Console.fds()
    os.write(write, b"first ")
    console = Console(read, pipe, ring)
    with monkeypatch.context() as patch:
        _die_after(steps, patch)
        try:
            console.pump(1000)
        except Killed:
            pass
    os.write(write, b"second")
    again = Console(os.dup(read), (os.dup(pipe[0]), os.dup(pipe[1])), Ring(os.dup(ring.fd)))
    while again.pump(1000):
        pass
    assert again.ring.read(0, again.ring.head) == b"first second"
    os.close(write)
    assert again.pump(1000) == 0
    assert again.ended
    again.close()
    console.close()


@given(st.lists(st.binary(min_size=1, max_size=5000), max_size=6), st.integers(1, 9000))
@settings(max_examples=30, deadline=None)
def test_pump_keeps_to_its_limit(pieces: list[bytes], limit: int) -> None:
    """However it is cut, what is pumped is what was written, and never more than the limit at a time."""
    read, write = os.pipe2(os.O_NONBLOCK)
    pipe, ring = Console.fds()
    console = Console(read, pipe, ring)
    for piece in pieces:
        os.write(write, piece)
    moved = []
    while count := console.pump(limit):
        moved.append(count)
    assert all(count <= limit for count in moved)
    assert ring.read(0, ring.head) == b"".join(pieces)
    os.close(write)
    console.close()
