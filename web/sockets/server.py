"""Flask-SocketIO with the options this application needs, each with its reason."""

from __future__ import annotations

from flask import Flask
from flask_socketio import SocketIO

from web.gate import WS_PATH
from web.sockets.packet import BrowserPacket
from web.sockets.websocket import driver

NAMESPACE = "/lab"


def make_socketio(app: Flask, *, message_bytes: int, ping_interval_s: int, ping_timeout_s: int) -> SocketIO:
    """Put Socket.IO in front of `app`.

    Args:
        message_bytes: the longest message a browser may send; a longer one ends the connection with code 1009.
        ping_interval_s, ping_timeout_s: how often a browser is asked whether it is there, and how long it may take.
    """
    socketio = SocketIO(
        app,
        async_mode="threading",  # never auto-detected: an installed eventlet would win
        transports=["websocket"],  # no polling: no stickiness, no upgrade round trips
        async_handlers=False,  # keeps the order of keys, and no thread per event (p99 97 ms with it)
        serializer=BrowserPacket,  # one frame an event
        cors_allowed_origins=[],  # [] is "do not look": the Gate has decided already, and more strictly
        max_http_buffer_size=message_bytes,
        ping_interval=ping_interval_s,
        ping_timeout=ping_timeout_s,
        manage_session=False,  # the cookie is read at connect and never again
        path=WS_PATH,
    )
    eio = socketio.server.eio
    eio._async = {**eio._async, "websocket": driver(message_bytes)}
    return socketio
