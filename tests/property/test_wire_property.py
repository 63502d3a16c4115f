"""The decoder, whatever the pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.api import wire

leaf = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=200) | st.text(max_size=50)
values = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
messages = st.dictionaries(st.text(max_size=8), values, max_size=5)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Pieces of the given sizes, over and over, until the stream is used up."""
    pieces, position, turn = [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        pieces.append(stream[position : position + size])
        position, turn = position + size, turn + 1
    return pieces


@given(st.lists(messages, max_size=8), st.lists(st.integers(1, 300), min_size=1, max_size=10))
def test_messages_survive_any_cutting(sent: list[wire.Message], sizes: list[int]) -> None:
    """What was sent comes out, once and in order, however the stream was cut."""
    decoder = wire.Decoder()
    stream = b"".join(wire.encode(message) for message in sent)
    received = [message for piece in cut(stream, sizes) for message in decoder.feed(piece)]
    assert received == sent
    assert decoder.buffered == 0


@given(
    st.lists(st.one_of(messages, st.integers(65, 2000)), max_size=10),
    st.lists(st.integers(1, 97), min_size=1, max_size=9),
)
def test_frames_too_long_cost_only_themselves(sent: list[wire.Message | int], sizes: list[int]) -> None:
    """A number stands for a frame of that length; with a limit of 64 each comes out as one refusal, in its place."""
    decoder, expected, stream = wire.Decoder(limit=64), [], b""
    for item in sent:
        if isinstance(item, int):
            stream += item.to_bytes(4, "big") + b"\x00" * item
            expected.append("refused")
        else:
            encoded = wire.encode(item)
            stream += encoded
            expected.append(item if len(encoded) - wire.HEADER <= 64 else "refused")
    received = [
        "refused" if isinstance(message, wire.Malformed) else message
        for piece in cut(stream, sizes)
        for message in decoder.feed(piece)
    ]
    assert received == expected


@given(st.binary(max_size=3000), st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_no_bytes_raise(junk: bytes, sizes: list[int]) -> None:
    """Junk becomes refusals or silence, never an exception, and never more memory than a frame and a piece."""
    decoder = wire.Decoder(limit=256)
    for piece in cut(junk, sizes):
        for message in decoder.feed(piece):
            assert isinstance(message, (dict, wire.Malformed))
        assert decoder.buffered <= 256 + wire.HEADER + len(piece)
