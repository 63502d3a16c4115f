"""The frames: what they carry, what they refuse, and that a refusal does not end the connection."""

from __future__ import annotations

import msgpack
import pytest

from engine.api import wire
from engine.errors import BadInput, EngineError, NotFound


def frame(body: bytes) -> bytes:
    """A raw frame around any body."""
    return len(body).to_bytes(4, "big") + body


def test_a_message_comes_back_as_it_went() -> None:
    """Bytes stay bytes, text stays text, and offsets above 2^32 survive."""
    message = wire.event("terminal.output", stream=3, offset=2**40 + 1, data=b"\xff\x00", text="箱")
    assert wire.Decoder().feed(wire.encode(message)) == [message]


def test_a_message_too_long_is_refused_before_it_is_sent() -> None:
    """The sender hears of it, with both lengths."""
    with pytest.raises(BadInput, match=r"message of 26\d{4} bytes .* 262144"):
        wire.encode({"call": "terminal.input", "args": {"data": b"x" * wire.MAX_FRAME}})


def test_what_msgpack_cannot_carry_is_refused() -> None:
    """An object of ours does not slip on to the wire."""
    with pytest.raises(BadInput, match="cannot be sent"):
        wire.encode({"call": object()})
    with pytest.raises(BadInput, match="cannot be sent"):
        wire.encode({"call": 2**70})


def test_a_frame_too_long_is_passed_over_without_being_kept() -> None:
    """The error comes at once, the bytes are not kept, and the frame behind it is understood."""
    decoder = wire.Decoder()
    first = decoder.feed((1024 * 1024).to_bytes(4, "big"))
    assert len(first) == 1
    assert isinstance(first[0], wire.Malformed)
    assert "announces 1048576 bytes" in first[0].error.message
    for _ in range(16):
        assert decoder.feed(b"\xc1" * 65536) == []
        assert decoder.buffered == 0
    assert decoder.feed(wire.encode({"a": 1})) == [{"a": 1}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xc1", "is not msgpack"),
        (b"\x81\xa1a", "is not msgpack"),  # a map cut short
        (b"\xdf\xff\xff\xff\xff", "is not msgpack"),  # a map that announces 4 G entries
        (b"\x91" * 5000 + b"\x01", "is not msgpack"),  # nested deeper than the stack
        (b"\xa2\xff\xfe", "is not msgpack"),  # text that is not UTF-8
        (b"\x80\x80", "is not msgpack"),  # two maps in one frame
        (b"", "is not msgpack"),
        (msgpack.packb([1, 2]), "holds list, not a map"),
        (msgpack.packb({b"call": 1}), "with names as keys"),
    ],
)
def test_a_frame_that_is_no_map_says_so_and_the_next_is_read(body: bytes, words: str) -> None:
    """Hostile bytes cost their sender an answer, not the connection."""
    bad, good = wire.Decoder().feed(frame(body) + wire.encode({"a": 1}))
    assert isinstance(bad, wire.Malformed)
    assert words in bad.error.message
    assert good == {"a": 1}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"id": "7", "call": "lab.get"}, "id of a request is not a number"),
        ({"id": True, "call": "lab.get"}, "id of a request is not a number"),
        ({"id": 7}, "names no call"),
        ({"id": 7, "call": 8}, "names no call"),
        ({"id": 7, "call": "lab.get", "args": [1]}, "args of lab.get are not a map"),
    ],
)
def test_a_map_that_is_no_request_is_refused(message: wire.Message, words: str) -> None:
    """Each wrong part is named."""
    with pytest.raises(BadInput, match=words):
        wire.parse_request(message)


def test_an_error_arrives_as_the_class_that_was_raised() -> None:
    """Kind, message and hint survive the wire."""
    reply = wire.failure(7, NotFound("No lab x.", "List them with `hako lab list`."))
    with pytest.raises(NotFound) as caught:
        wire.result(reply)
    assert (caught.value.message, caught.value.hint) == ("No lab x.", "List them with `hako lab list`.")


def test_an_error_of_a_kind_from_the_future_is_still_an_engine_error() -> None:
    """An older client does not break on a newer engine's word."""
    with pytest.raises(EngineError, match="odd"):
        wire.result({"id": 1, "error": {"kind": "new_word", "message": "odd", "hint": ""}})
