"""The frames of `lab.sock` and `engine.sock`: a big-endian u32 length, then one msgpack map.

    request   {"id": 7, "call": "lab.get", "args": {…}}     without "id" it is one-way: nobody answers
    reply     {"id": 7, "ok": value}  or  {"id": 7, "error": {"kind", "message", "hint"}}
    event     {"event": "terminal.output", …}

A frame holds at most `MAX_FRAME` bytes. One that is longer, is not msgpack or is not a map comes out of the decoder
as `Malformed`, in its place in the stream: the framing survives, so the connection can live on. Nothing here reads a
socket or keeps a clock: the same code serves the asyncio server and the threaded client.

https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack

from engine.errors import BadInput, EngineError, Failed, from_kind

# A terminal message is at most 32 KiB and an observation of a busy lab about 100 KiB; a quarter MiB bounds both and
# still keeps one connection's input buffer small.
MAX_FRAME = 256 * 1024
HEADER = 4

Message = dict[str, Any]


class Malformed(NamedTuple):
    """A frame that could not be understood; `error` says why, in words for the peer."""

    error: BadInput


class Request(NamedTuple):
    """What a client asks for. `id` is None for a one-way request."""

    id: int | None
    call: str
    args: Message


def encode(message: Message) -> bytes:
    """One frame, header included.

    Raises:
        BadInput: it holds something msgpack cannot carry, or is longer than `MAX_FRAME`.
    """
    try:
        body: bytes = msgpack.packb(message, use_bin_type=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"A message cannot be sent: {error}.") from error
    if len(body) > MAX_FRAME:
        raise BadInput(
            f"A message of {len(body)} bytes is longer than the {MAX_FRAME} bytes a frame may hold.",
            "Send it in smaller pieces.",
        )
    return len(body).to_bytes(HEADER, "big") + body


def length(value: Any) -> int:
    """How many bytes a value takes in a frame."""
    return len(msgpack.packb(value, use_bin_type=True))


class Decoder:
    """Cuts a byte stream into messages, whatever the sizes of the pieces it comes in.

    Memory is bounded by one frame plus one piece: the bytes of a frame that is too long are passed over as they come,
    not kept.
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._skip = 0  # bytes still to come of a frame that was refused

    @property
    def buffered(self) -> int:
        """Bytes kept for the next frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message | Malformed]:
        """Take the next piece; give back what became whole, in order."""
        self._buffer += data
        return list(self._take())

    def _take(self) -> Iterator[Message | Malformed]:
        buffer, position = self._buffer, 0
        while True:
            if self._skip:
                passed = min(self._skip, len(buffer) - position)
                position += passed
                self._skip -= passed
                if self._skip:
                    break
            if len(buffer) - position < HEADER:
                break
            length = int.from_bytes(buffer[position : position + HEADER], "big")
            if length > self._limit:
                position += HEADER
                self._skip = length
                yield Malformed(_too_long(length, self._limit))
                continue
            end = position + HEADER + length
            if len(buffer) < end:
                break
            yield _unpack(bytes(buffer[position + HEADER : end]))
            position = end
        del buffer[:position]


def _too_long(length: int, limit: int) -> BadInput:
    return BadInput(
        f"A frame announces {length} bytes; at most {limit} are allowed.",
        "Each frame is a big-endian u32 length and one msgpack map; send long data in pieces.",
    )


def _unpack(body: bytes) -> Message | Malformed:
    try:
        message = msgpack.unpackb(body, raw=False)
    except (ValueError, msgpack.UnpackException) as error:
        return Malformed(BadInput(f"A frame of {len(body)} bytes is not msgpack: {error or type(error).__name__}."))
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        return Malformed(BadInput(f"A frame holds {type(message).__name__}, not a map with names as keys."))
    return message


def request(call: str, args: Message, id: int | None = None) -> Message:
    """A request; without `id` nobody answers it."""
    message: Message = {"call": call, "args": args}
    return message if id is None else {"id": id, **message}


def parse_request(message: Message) -> Request:
    """Check the shape of a request.

    Raises:
        BadInput: it is none. Whether the call exists is not known here.
    """
    ident = message.get("id")
    if ident is not None and (not isinstance(ident, int) or isinstance(ident, bool)):
        raise BadInput("The id of a request is not a number.")
    call, args = message.get("call"), message.get("args", {})
    if not isinstance(call, str):
        raise BadInput("A request names no call.", 'It looks like {"id": 1, "call": "lab.get", "args": {…}}.')
    if not isinstance(args, dict):
        raise BadInput(f"The args of {call[:64]} are not a map.")
    return Request(ident, call, args)


def ok(id: int, value: Any) -> Message:
    """The reply to a request that worked."""
    return {"id": id, "ok": value}


def failure(id: int | None, error: EngineError) -> Message:
    """The reply to a request that did not; without an id (the frame was not understood) an `error` event."""
    body = {"kind": error.kind, "message": error.message, "hint": error.hint}
    return {"event": "error", "error": body} if id is None else {"id": id, "error": body}


def event(name: str, **fields: Any) -> Message:
    """Something that happened, told without being asked."""
    return {"event": name, **fields}


def result(reply: Message) -> Any:
    """The value of a reply.

    Raises:
        EngineError: the class the other side raised.
    """
    if "error" not in reply:
        return reply.get("ok")
    error = reply["error"]
    if not isinstance(error, dict):
        raise Failed("The engine answered with an error that cannot be read.", "Are client and engine of one version?")
    raise from_kind(str(error.get("kind")), str(error.get("message")), str(error.get("hint", "")))
