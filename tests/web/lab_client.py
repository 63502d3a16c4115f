"""A browser for tests: plain HTTP with a cookie jar, and a Socket.IO client with msgpack over a real websocket.

python-socketio's own client plays the part of socket.io-client; what it receives is kept in order and can be waited
for with a deadline.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
import socketio

from tests.web.in_order import InOrderClient

NAMESPACE = "/lab"
DEADLINE_S = 15.0


#: Closers of everything a test opened, called by a fixture at its end.
OPENED: list[Callable[[], None]] = []


class Browser:
    """One browser: cookies and the tokens of the page it has open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        # requests, unlike a browser, does not try again when the server closes an idle connection at the same moment.
        self.http.headers["Connection"] = "close"
        self.boot: dict[str, Any] = {}
        OPENED.append(self.http.close)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.http.get(self.url + path, timeout=DEADLINE_S, **more)

    def open(self, path: str) -> dict[str, Any]:
        """Load a page and keep its boot object."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        found = re.search(r'<script type="application/json" id="boot">(.*?)</script>', response.text, re.S)
        assert found, response.text
        self.boot = json.loads(found[1])
        return self.boot

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        headers = {"X-CSRF-Token": self.boot.get("csrf", ""), "Accept-Language": self.boot.get("lang", "en"), **headers}
        return self.http.post(self.url + path, json=body, headers=headers, timeout=DEADLINE_S)

    def socket(self, **options: Any) -> LabSocket:
        """A connected websocket of this page."""
        return LabSocket(self, **options)

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)


class LabSocket:
    """One websocket; keeps events, and bytes per stream with the offsets they came with."""

    def __init__(
        self, browser: Browser, *, token: str | None = None, origin: str | None = None, acks: bool = True
    ) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self.streams: dict[int, bytearray] = {}
        self.offsets: dict[int, int] = {}
        self.acks = acks
        self._change = threading.Condition()
        self._numbers = 0
        # websocket-client would add an Origin of its own beside the one a test wants.
        extra = {"suppress_origin": True}
        self.client = InOrderClient(reconnection=False, serializer="msgpack", websocket_extra_options=extra)
        self.client.on("*", self._event, namespace=NAMESPACE)
        self.client.on("connect_error", lambda data: self._event("connect_error", data), namespace=NAMESPACE)
        self.client.on("disconnect", lambda *args: self._event("disconnect", *args), namespace=NAMESPACE)
        self._tcp: Any = None
        OPENED.append(self.close)
        self.client.connect(
            browser.url,
            headers={"Origin": origin or browser.url, "Cookie": browser.cookie_header},
            auth={"token": browser.boot.get("token") if token is None else token},
            transports=["websocket"],
            namespaces=[NAMESPACE],
            socketio_path=browser.boot["socket"]["path"].lstrip("/"),
            wait_timeout=DEADLINE_S,
        )
        self._tcp = self.client.eio.ws.sock

    def _event(self, event: str, *args: Any) -> None:
        consumed = None
        with self._change:
            if event == "output":
                stream, offset, data = args
                at = self.offsets.setdefault(stream, offset)
                assert at + len(self.streams.setdefault(stream, bytearray())) == offset, "a lost or doubled byte"
                self.streams[stream] += data
                consumed = (stream, offset + len(data))
            elif event == "reset":
                stream, offset = args
                self.streams[stream], self.offsets[stream] = bytearray(), offset
            self.events.append((event, args))
            self._change.notify_all()
        if consumed and self.acks:
            try:
                self.client.emit("ack", consumed, namespace=NAMESPACE)
            except socketio.exceptions.SocketIOError:
                pass  # the connection ended meanwhile

    def ask(self, event: str, body: Any = None) -> Any:
        return self.client.call(event, body if body is not None else {}, namespace=NAMESPACE, timeout=DEADLINE_S)

    def tell(self, event: str, *args: Any) -> None:
        self.client.emit(event, args, namespace=NAMESPACE)

    def attach(self, terminal: str, start: int | None = None, rows: int = 24, cols: int = 80) -> int:
        self._numbers += 1
        answer = self.ask(
            "attach", {"terminal": terminal, "stream": self._numbers, "from": start, "rows": rows, "cols": cols}
        )
        assert "error" not in answer, answer
        return self._numbers

    def wait(self, ready: Callable[[], Any], what: str) -> Any:
        """Wait until `ready()` gives something true, and give it."""
        found: list[Any] = []

        def look() -> bool:
            found[:] = [ready()]
            return bool(found[0])

        with self._change:
            ok = self._change.wait_for(look, DEADLINE_S)
        assert ok, f"not seen in {DEADLINE_S} s: {what}; events: {[name for name, _ in self.events][-20:]}"
        return found[0]

    def wait_text(self, stream: int, text: bytes) -> bytes:
        """Wait until the stream holds `text`; gives everything it holds."""
        return bytes(self.wait(lambda: text in self.streams.get(stream, b"") and self.streams[stream], repr(text)))

    def of(self, event: str) -> list[tuple[Any, ...]]:
        return [args for name, args in list(self.events) if name == event]

    def wait_event(self, event: str, matching: Callable[..., bool] = lambda *_: True) -> tuple[Any, ...]:
        return tuple(self.wait(lambda: [args for args in self.of(event) if matching(*args)], event)[-1])

    def close(self) -> None:
        """Disconnect, and close the TCP connection, which the client leaves open when the server was first."""
        self.client.disconnect()
        if self._tcp is not None:
            self._tcp.close()

    def __enter__(self) -> LabSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def until(ready: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll a condition that nobody announces."""
    end = time.monotonic() + deadline_s
    while True:
        found = ready()
        if found:
            return found
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)
