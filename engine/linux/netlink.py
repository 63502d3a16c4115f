"""Netlink: the socket by which the kernel's network is read and changed, message by message.

A message is a header, a fixed structure that depends on its type, and attributes (type, length, value) padded to four
bytes; attributes nest. Several messages go to the kernel in one sendmsg(2) and are carried out in order; each is
answered by an acknowledgement with an errno and, where the kernel has more to say, a sentence ("extended ack"). See
netlink(7) and Documentation/userspace-api/netlink/intro.rst.

Packed by hand, because a container's network is eight messages: a library for all of netlink costs the daemon 24 MB and
150 ms at start. What the messages of links, addresses and routes look like is told in `rtnetlink.py`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP_INTR = 0x1, 0x2, 0x4, 0x10
NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE = 0x300, 0x200, 0x400
NLM_F_ACK_TLVS = 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF
NLMSGERR_ATTR_MSG = 1

SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 10, 11, 12

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")

# The kernel builds parts of a dump as large as the reader's buffer allows, up to 32 KiB; twice that never truncates.
RECEIVE_BYTES = 65_536
# The kernel answers before sendmsg(2) returns; a wait this long means that the lock of the network (RTNL) is stuck.
DEADLINE_S = 10.0
# A dump that was overtaken by a change is asked for again; a host whose links change faster than this is not read.
DUMP_TRIES = 16


def attribute(kind: int, value: bytes | str | int) -> bytes:
    """One attribute. An int becomes an unsigned 32-bit number, a str a C string; other widths are given as bytes."""
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute whose value is attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in a stretch of bytes, by type; a length that runs past the end stops the reading there."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            break
        found[kind & NLA_TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += length + (-length % 4)
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """A message to the kernel.

    Attributes:
        type: RTM_NEWLINK and so on.
        flags: NLM_F_* beyond REQUEST and ACK.
        body: the fixed structure and the attributes.
        what: what it does, in the words of ip(8); it opens the text of an error.
    """

    type: int
    flags: int
    body: bytes
    what: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A message from the kernel: its type and what follows the header."""

    type: int
    body: bytes


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The messages in a datagram: (type, flags, sequence number, body)."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, flags, sequence, data[at + _HEADER.size : at + length]
        at += length + (-length % 4)


def refusal(body: bytes, flags: int) -> tuple[int, str]:
    """What an NLMSG_ERROR says: (errno, the kernel's sentence or ""); errno 0 is a plain acknowledgement."""
    (negative,) = struct.unpack_from("=i", body)
    said = b""
    if flags & NLM_F_ACK_TLVS:
        # After the errno comes the header of the message that is answered (its body is left out: NETLINK_CAP_ACK).
        said = attributes(body[4 + _HEADER.size :]).get(NLMSGERR_ATTR_MSG, b"")
    return -negative, said.rstrip(b"\0").decode(errors="replace")


class Socket:
    """A netlink socket of one family, in the network namespace of the thread that made it, for one thread at a time.

    Args:
        protocol: socket.NETLINK_ROUTE by default.

    Use it as a context manager, or close it.
    """

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        try:
            for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
            self._socket.settimeout(DEADLINE_S)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; the network namespace it was made in may die with it."""
        self._socket.close()

    def fileno(self) -> int:
        """The fd, as `select` wants it."""
        return self._socket.fileno()

    def request(self, *messages: Message) -> None:
        """Have messages carried out, all sent at once, and wait for every acknowledgement.

        Raises:
            OSError: of the first message the kernel refused; those after it were carried out nevertheless, so the
                caller undoes by deleting what it was making.
        """
        waiting: dict[int, Message] = {}
        packed = []
        for message in messages:
            self._sequence += 1
            waiting[self._sequence] = message
            packed.append(_pack(message, self._sequence, NLM_F_ACK))
        self._socket.send(b"".join(packed))
        errors: dict[int, OSError] = {}
        while waiting:
            for kind, flags, sequence, body in split(self._socket.recv(RECEIVE_BYTES)):
                answered = waiting.pop(sequence, None) if kind == NLMSG_ERROR else None
                if answered is None:
                    continue
                number, said = refusal(body, flags)
                if number:
                    errors[sequence] = _error(number, said, answered.what)
        if errors:
            raise errors[min(errors)]

    def get(self, message: Message) -> Reply:
        """One thing: the single reply to a request that names it.

        Raises:
            OSError: the kernel has no such thing, ENODEV say.
        """
        self._sequence += 1
        self._socket.send(_pack(message, self._sequence, 0))
        while True:
            for kind, flags, sequence, body in split(self._socket.recv(RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_ERROR:
                    raise _error(*refusal(body, flags), message.what)
                return Reply(kind, body)

    def dump(self, message: Message) -> list[Reply]:
        """Everything of a kind: the replies to a request with NLM_F_DUMP, as of one moment.

        Raises:
            OSError: EINTR when the kernel's tables changed under each of DUMP_TRIES readings.
        """
        for _ in range(DUMP_TRIES):
            replies, torn = self._dump_once(message)
            if not torn:
                return replies
        raise InterruptedError(4, f"{message.what}: changed while it was read, {DUMP_TRIES} times")

    def _dump_once(self, message: Message) -> tuple[list[Reply], bool]:
        self._sequence += 1
        self._socket.send(_pack(message, self._sequence, NLM_F_DUMP))
        replies: list[Reply] = []
        torn = False
        while True:
            for kind, flags, sequence, body in split(self._socket.recv(RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                torn = torn or bool(flags & NLM_F_DUMP_INTR)
                if kind == NLMSG_DONE:
                    return replies, torn
                if kind == NLMSG_ERROR:
                    raise _error(*refusal(body, flags), message.what)
                replies.append(Reply(kind, body))


def _pack(message: Message, sequence: int, flags: int) -> bytes:
    header = _HEADER.pack(
        _HEADER.size + len(message.body), message.type, NLM_F_REQUEST | flags | message.flags, sequence, 0
    )
    return header + message.body + b"\0" * (-len(message.body) % 4)


def _error(number: int, said: str, what: str) -> OSError:
    detail = f" ({said})" if said else ""
    return OSError(number, f"{what}: {os.strerror(number)}{detail}")
