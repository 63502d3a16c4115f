"""The way to one browser: packets straight into its Engine.IO queue, and the end of a transport.

`Server.emit` looks up rooms and acknowledgements for every message; terminal output needs neither, so an event is
encoded once and queued. A queue put never blocks; what bounds the queue is the engine's credit for terminals and
`Rooms` for pictures.
"""

from __future__ import annotations

import socket
from typing import Any

from engineio.exceptions import SocketIsClosedError

from web.sockets.packet import event_packet


class BrowserWire:
    """Implements `connections.Wire` on Engine.IO.

    Args:
        server: python-socketio's Server.
        eio_sid: Engine.IO's name of the transport.
        environ: the WSGI environ of its upgrade; gunicorn put the TCP socket there.
    """

    def __init__(self, server: Any, namespace: str, eio_sid: str, environ: dict[str, Any]) -> None:
        self._eio = server.eio
        self._namespace = namespace
        self.eio_sid = eio_sid
        self._environ = environ

    def send(self, event: str, *args: Any) -> None:
        try:
            self._eio.send(self.eio_sid, event_packet(self._namespace, event, *args))
        except (SocketIsClosedError, KeyError):
            pass  # it is going; its disconnect event does the rest

    def waiting(self) -> int:
        transport = self._eio.sockets.get(self.eio_sid)
        return 0 if transport is None else int(transport.queue.qsize())

    def close(self) -> None:
        close_transport(self._eio, self.eio_sid)

    def end(self) -> None:
        """End the TCP connection under the transport."""
        shut_down(self._environ)


def close_transport(eio: Any, eio_sid: str) -> None:
    """Close the Engine.IO socket, which the browser sees as `transport close` and comes back from by itself.

    A Socket.IO disconnect would be an `io server disconnect` to it, after which it stays away.
    """
    transport = eio.sockets.get(eio_sid)
    if transport is not None:
        transport.close(wait=False)


def shut_down(environ: dict[str, Any]) -> None:
    """End the TCP connection, so that a thread blocked in it comes free.

    After a ping time-out Engine.IO calls the socket closed, but the pool thread goes on waiting for bytes of a peer
    that may never send any: four such ghosts hang a site with four threads. `shutdown`,
    not `close`: the number of a closed descriptor could already be somebody else's.
    """
    tcp = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if tcp is None:
        return
    try:
        tcp.shutdown(socket.SHUT_RDWR)
    except OSError:  # the peer was faster
        pass
