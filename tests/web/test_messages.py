"""What pages may send, how much, and in which form it travels."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio import packet

from web.sockets import messages
from web.sockets.limits import Bucket
from web.sockets.packet import BrowserPacket, event_packet
from web.trouble import BadMessage


@pytest.mark.parametrize("name", ["", "Lab", "../lab", "lab\n", "-lab", "a" * 33, None, 7, b"lab", "ラボ"])
def test_a_terminal_name_that_is_none_is_refused(name: Any) -> None:
    """Names are looked up in tables and shown to people; nothing else may be one."""
    with pytest.raises(BadMessage):
        messages.terminal(name)


@pytest.mark.parametrize("value", [-1, 2**53, 1.5, True, "7", None])
def test_an_offset_that_is_none_is_refused(value: Any) -> None:
    """Browsers count exactly to 2^53; bool is an int in Python and not here."""
    with pytest.raises(BadMessage):
        messages.offset(value)


def test_offsets_above_four_gigabytes_are_good() -> None:
    """A terminal may have produced more than 2^32 bytes."""
    assert messages.offset(2**40) == 2**40


@given(st.integers(), st.integers())
def test_sizes_are_forced_into_what_a_terminal_can_be(rows: int, cols: int) -> None:
    """A page that is being folded away measures 0; a hostile one measures anything."""
    got_rows, got_cols = messages.size({"rows": rows, "cols": cols})
    assert 2 <= got_rows <= 500
    assert 2 <= got_cols <= 1000


def test_input_is_bytes_or_text_up_to_its_limit() -> None:
    """One byte more is refused whole, with both numbers in the sentence."""
    assert messages.typed("é", 16) == b"\xc3\xa9"
    assert messages.typed(b"x" * 16, 16) == b"x" * 16
    with pytest.raises(BadMessage) as caught:
        messages.typed(b"x" * 17, 16)
    assert (caught.value.code, caught.value.params) == ("input_too_long", {"size": 17, "limit": 16})
    with pytest.raises(BadMessage):
        messages.typed(["x"], 16)


def test_a_lone_surrogate_from_a_browser_is_no_crash() -> None:
    """JavaScript strings may hold half a character."""
    assert messages.typed("\ud83d", 16) == b"?"


@given(st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=200))
def test_a_bucket_never_gives_more_than_it_holds_plus_its_rate(gaps: list[float]) -> None:
    """Whatever the rhythm of requests, the total is bounded."""
    bucket, now, given_out = Bucket(rate=2, size=5), 0.0, 0
    for gap in gaps:
        now += gap
        given_out += bucket.take(now)
    assert given_out <= 5 + 2 * now + 1


def test_a_costly_request_needs_as_many_tokens() -> None:
    """Bytes are counted, not messages."""
    bucket = Bucket(rate=10, size=100)
    assert bucket.take(0.0, 60)
    assert not bucket.take(0.0, 60)
    assert bucket.take(2.0, 60)


def test_absent_data_is_absent_in_a_packet() -> None:
    """The browser's parser calls a nil on DISCONNECT an error."""
    encoded = BrowserPacket(packet.DISCONNECT, namespace="/lab").encode()
    assert "data" not in msgpack.unpackb(encoded)


def test_extension_types_pass_as_bytes() -> None:
    """A value a browser encodes in its own way must not end the connection."""
    sent = msgpack.packb({"type": 2, "nsp": "/lab", "data": ["input", "lab", msgpack.ExtType(0, b"abc")]})
    assert BrowserPacket(encoded_packet=sent).data == ["input", "lab", b"abc"]


def test_the_fast_path_encodes_what_the_slow_one_would() -> None:
    """Offsets above 2^32 and bytes survive."""
    fast = event_packet("/lab", "output", 3, 2**40, b"\x00\xff")
    slow = BrowserPacket(packet.EVENT, data=["output", 3, 2**40, b"\x00\xff"], namespace="/lab").encode()
    assert msgpack.unpackb(fast) == msgpack.unpackb(slow)
