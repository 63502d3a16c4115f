"""Socket.IO packets as msgpack, in the exact form the browser's parser wants.

With msgpack an event that holds bytes is one frame; with JSON it is two, which cost twice and interleave when two
threads send. Two differences to python-socketio's own class, both needed by
socket.io-msgpack-parser 3.0.2 in the browser: absent data must be absent and not nil, and an extension type that a
browser sends for its own values must not end the connection.
"""

from __future__ import annotations

from typing import Any

import msgpack
from socketio.msgpack_packet import MsgPackPacket


class BrowserPacket(MsgPackPacket):  # type: ignore[misc]  # socketio is untyped
    """See the module."""

    def encode(self) -> bytes:
        """One msgpack map; `data` is left out when there is none."""
        fields = self._to_dict()
        if fields.get("data") is None:
            fields.pop("data", None)
        return bytes(msgpack.packb(fields))

    @staticmethod
    def ext_hook(_code: int, data: bytes) -> bytes:
        """An extension type is taken as its bytes; handlers check what they are given anyway."""
        return data


def event_packet(namespace: str, event: str, *args: Any) -> bytes:
    """An EVENT packet encoded at once: what the fast path sends without passing through rooms and acknowledgements."""
    return bytes(msgpack.packb({"type": 2, "data": [event, *args], "nsp": namespace}))
