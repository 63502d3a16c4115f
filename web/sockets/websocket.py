"""The websocket under Engine.IO, with three things simple-websocket 1.1.0 and its adapter leave out.

- A bound on messages while they arrive. Engine.IO looks at the size only when the whole message is in memory and passes
  no limit down.
- A receiver that always wakes. When a message is too big, simple-websocket wakes the waiting thread *before* it marks
  the connection as ended; the thread sees a living connection, waits again, and is never woken: a ghost in a server
  thread.
- A close that does not mind being late; otherwise the writing thread ends with a trace in the log.
"""

from __future__ import annotations

from typing import Any

import simple_websocket
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI

RECEIVE_BYTES = 16 * 1024


class Bounded(simple_websocket.Server):  # type: ignore[misc]  # simple_websocket is untyped
    """A server side websocket whose reader, at its end, leaves nobody waiting."""

    def _thread(self) -> None:
        super()._thread()
        self.connected = False
        self.event.set()


def driver(message_bytes: int) -> type[SimpleWebSocketWSGI]:
    """Engine.IO's websocket class for the threading driver, with a limit of `message_bytes` a message."""

    class Driver(SimpleWebSocketWSGI):  # type: ignore[misc]  # engineio is untyped
        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            self.ws = Bounded(environ, max_message_size=message_bytes, receive_bytes=RECEIVE_BYTES)
            self.app(self)
            if self.ws.mode == "gunicorn":
                raise StopIteration  # how a gunicorn worker is told that the socket is no longer its own
            raise ConnectionError  # the same for Werkzeug

        def close(self) -> None:
            try:
                super().close()
            except (OSError, simple_websocket.ConnectionClosed):
                pass  # the peer, or whoever shut the connection down, was faster

    return Driver
