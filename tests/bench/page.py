"""A page without a browser: plain HTTP for the lab, Socket.IO with msgpack for its terminals, as little else as can be.

It obeys the stream protocol as the real page does: bytes are counted, a lost or doubled one is an error, and what was
consumed is acknowledged every 16 KiB. It keeps no output but the last few bytes, so that a flood costs it little.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import requests
import socketio

from engine.errors import Failed
from tests.web.in_order import InOrderClient
from tests.web.lab_client import NAMESPACE, Browser

ACK_BYTES = 16 * 1024
DEADLINE_S = 30.0
TAIL_BYTES = 512


@dataclass
class Terminal:
    """What a page knows of one of its terminals.

    Attributes:
        end: offset after the last byte that came.
        acked: offset up to which it was acknowledged.
        tail: the last bytes.
        came_ns: when the last output came (monotonic).
        pace: bytes a second this page can draw; 0 for any number.
    """

    name: str
    stream: int
    end: int = 0
    acked: int = 0
    tail: bytes = b""
    came_ns: int = 0
    pace: int = 0
    watch: Callable[[bytes, int], None] | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)


class Page:
    """One page; a context manager.

    Args:
        url: where the lab is served.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = ExitStack()
        self._terminals: dict[int, Terminal] = {}
        self._problem = ""

    def __enter__(self) -> Self:
        with self._stack as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        browser = Browser(self._url)
        stack.callback(browser.http.close)
        browser.open("/en/lessons/03-namespaces/")
        self.browser = browser
        extra = {"suppress_origin": True}
        self._client = InOrderClient(reconnection=False, serializer="msgpack", websocket_extra_options=extra)
        self._client.on("output", self._output, namespace=NAMESPACE)
        self._client.on("reset", self._reset, namespace=NAMESPACE)
        self._client.connect(
            browser.url,
            headers={"Origin": browser.url, "Cookie": browser.cookie_header},
            auth={"token": browser.boot["token"]},
            transports=["websocket"],
            namespaces=[NAMESPACE],
            socketio_path=browser.boot["socket"]["path"].lstrip("/"),
            wait_timeout=DEADLINE_S,
        )
        stack.callback(self._client.eio.ws.close)
        stack.callback(self._client.disconnect)

    def lab(self, lesson: str = "namespaces") -> dict[str, Any]:
        """Have the lesson's lab made, wait until it is ready, open it here."""
        answer = self.browser.post("/api/labs", {"lesson": lesson})
        if not answer.ok:
            raise Failed(f"POST /api/labs: {answer.status_code} {answer.text[:300]}")
        end = time.monotonic() + DEADLINE_S
        while True:
            told: dict[str, Any] = self.ask("open", {"lesson": lesson, "lang": "en"})["lab"] or {}
            if told.get("state") == "ready":
                return told
            if time.monotonic() > end:
                raise Failed(f"The lab was not ready within {DEADLINE_S:.0f} s: {told}")
            time.sleep(0.05)

    def ask(self, event: str, body: Any) -> Any:
        """Ask and wait for the answer."""
        answer = self._client.call(event, body, namespace=NAMESPACE, timeout=DEADLINE_S)
        if isinstance(answer, dict) and "error" in answer:
            raise Failed(f"{event}: {answer['error']}")
        return answer

    def attach(self, name: str) -> Terminal:
        """A terminal of the lab, made if it is not there, at its prompt."""
        terminal = Terminal(name, len(self._terminals) + 1)
        self._terminals[terminal.stream] = terminal
        self.ask("attach", {"terminal": name, "stream": terminal.stream, "from": None, "rows": 24, "cols": 80})
        # Without it readline writes a mode switch round every command, which no key asked for.
        self.type(terminal, b"bind 'set enable-bracketed-paste off'\r")
        self.until(terminal, lambda: b"off'" in terminal.tail and at_prompt(terminal), "a prompt")
        return terminal

    def type(self, terminal: Terminal, data: bytes) -> None:
        """Keys."""
        self._client.emit("input", (terminal.name, data), namespace=NAMESPACE)

    def until(self, terminal: Terminal, ready: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait for output."""
        with terminal.changed:
            if not terminal.changed.wait_for(lambda: bool(self._problem) or ready(), deadline_s):
                raise Failed(
                    f"Terminal {terminal.name}: {what} not seen in {deadline_s:.0f} s: {terminal.tail[-80:]!r}"
                )
        if self._problem:
            raise Failed(self._problem)

    def _output(self, stream: int, offset: int, data: bytes) -> None:
        came = time.monotonic_ns()
        terminal = self._terminals[stream]
        if terminal.end and offset != terminal.end:
            self._problem = f"terminal {terminal.name}: a lost or doubled byte at {terminal.end}, not {offset}"
        if terminal.pace:
            time.sleep(len(data) / terminal.pace)  # the drawing that a slow page does; meanwhile nothing else is read
        with terminal.changed:
            terminal.end, terminal.came_ns = offset + len(data), came
            terminal.tail = (terminal.tail + data)[-TAIL_BYTES:]
            if terminal.watch is not None:
                terminal.watch(data, came)
            terminal.changed.notify_all()
        if terminal.end - terminal.acked >= ACK_BYTES:
            terminal.acked = terminal.end
            with suppress(socketio.exceptions.SocketIOError):  # the page is being closed in mid-flood
                self._client.emit("ack", (stream, terminal.end), namespace=NAMESPACE)

    def _reset(self, stream: int, offset: int) -> None:
        self._terminals[stream].end = self._terminals[stream].acked = offset


def at_prompt(terminal: Terminal) -> bool:
    """Whether the last thing written is a shell's prompt."""
    return terminal.tail.endswith((b"# ", b"$ "))


def echo_ms(page: Page, terminal: Terminal, key: bytes) -> float:
    """Type one key and wait for the terminal to show it; milliseconds."""
    before = terminal.end
    typed = time.monotonic_ns()
    page.type(terminal, key)
    page.until(terminal, lambda: terminal.end > before, "the echo of a key")
    return (terminal.came_ns - typed) / 1e6


def wait_for_page(url: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until the web server says that it and the engine are ready."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            if requests.get(f"{url}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        if time.monotonic() > end:
            raise Failed(f"{url}/readyz did not answer within {deadline_s:.0f} s")
        time.sleep(0.05)
