"""Flask-SocketIO with the options this application needs, each with its reason."""

from __future__ import annotations

from flask import Flask
from flask_socketio import SocketIO

from web.gate import WS_PATH
from web.sockets.packet import BrowserPacket
from web.sockets.websocket import driver

NAMESPACE = "/lab"


def make_socketio(app: Flask, message_bytes: int) -> SocketIO:
    """Put Socket.IO in front of `app`.

    Args:
        message_bytes: the longest message a browser may send; a longer one ends the connection with code 1009.
    """
    socketio = SocketIO(
        app,
        async_mode="threading",  # never auto-detected: an installed eventlet would win
        transports=["websocket"],  # no polling: no stickiness, no upgrade round trips
        async_handlers=False,  # keeps the order of keys, and no thread per event (p99 97 ms with it)
        serializer=BrowserPacket,  # one frame an event
        cors_allowed_origins=[],  # [] is "do not look": the Gate has decided already, and more strictly
        max_http_buffer_size=message_bytes,
        ping_interval=20,  # under the 60 s after which common proxies cut an idle connection
        ping_timeout=20,
        manage_session=False,  # the cookie is read at connect and never again
        path=WS_PATH,
    )
    eio = socketio.server.eio
    eio._async = {**eio._async, "websocket": driver(message_bytes)}
    return socketio
