"""A lesson page without a browser, as tenacious as the real one: whatever dies, it comes back and goes on.

It keeps to the page's protocol (static/src/connection.js, stream.js, typist.js): connect, `open`, attach every terminal
from what was consumed, acknowledge each 16 KiB and when it is quiet, ask `type` again with the same key until it is
answered. What it consumed is kept whole, and every departure from "each byte once, in order" is noted in `wrong`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import requests
import socketio

from tests.browser.stack import wait_until
from tests.web.in_order import InOrderClient
from tests.web.lab_client import NAMESPACE, Browser

ACK_BYTES = 16 * 1024
ANSWER_S = 15.0
CONNECT_S = 3.0
HEAL_S = 60.0
LESSON = "namespaces"
Problems = (socketio.exceptions.SocketIOError, requests.RequestException, OSError)


@dataclass
class Seen:
    """What the page knows of one terminal.

    Attributes:
        begin: offset of the first byte of `data`.
        id: the engine's name of it; another under the same name is another shell.
        resets: offsets at which the server said that bytes were lost.
        exits: what was told of the shell's end.
    """

    name: str
    begin: int | None = None
    data: bytearray = field(default_factory=bytearray)
    stream: int = 0
    acked: int = 0
    id: str = ""
    resets: list[int] = field(default_factory=list)
    exits: list[int | None] = field(default_factory=list)

    @property
    def consumed(self) -> int:
        return (self.begin or 0) + len(self.data)


class Follower:
    """One page. Use as a context manager; `attach` adds terminals, `cut` breaks the line, healing goes by itself."""

    def __init__(self, url: str, lang: str = "en") -> None:
        self.browser = Browser(url)
        self.browser.open(f"/{lang}/lessons/03-namespaces/")
        self._hello = {"lesson": LESSON, "lang": lang}
        self.terminals: dict[str, Seen] = {}
        self.wrong: list[str] = []
        self.told: list[tuple[str, Any]] = []
        self.connects = 0
        #: Cleared: nothing more is read from the line, as by a page whose machine has stopped.
        self.reads = threading.Event()
        self.reads.set()
        self._streams: dict[int, Seen] = {}
        self._number = 0
        self._changed = threading.Condition()
        self._up = threading.Event()
        self._broken = threading.Event()
        self._ending = threading.Event()
        self._client: Any = None
        self._dead = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="follower")

    # -- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        answer = self.browser.post("/api/labs", {"lesson": LESSON})
        assert answer.ok, answer.text
        self.lab = str(answer.json()["id"])
        self._broken.set()
        self._keeper.start()
        self.until_up()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.reads.set()
        self._broken.set()
        self._keeper.join(HEAL_S)
        self._leave()
        self.browser.http.close()

    def until_up(self) -> None:
        """Wait until it is connected and every terminal is attached."""
        assert self._up.wait(HEAL_S), f"not back within {HEAL_S:.0f} s; {self.wrong[-5:]} {str(self.told[-5:])[:999]}"

    @property
    def up(self) -> bool:
        return self._up.is_set()

    def cut(self) -> bool:
        """Break the line, as when a process dies: nothing is said to the server. Whether there was one."""
        client = self._client
        websocket = None if client is None or self._dead.is_set() else client.eio.ws
        if websocket is None or websocket.sock is None:
            return False
        try:
            websocket.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return False
        return True

    def _keep(self) -> None:
        while not self._ending.is_set():
            if not self._broken.wait(0.1):
                continue
            self._broken.clear()
            self._up.clear()
            self._leave()
            try:
                self._connect()
            except (*Problems, AssertionError) as problem:
                self.told.append(("not_connected", str(problem)))
                self._broken.set()
                self._ending.wait(0.05)

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.disconnect()
        except Problems:
            pass  # it was gone already
        if client.eio.ws is not None:
            client.eio.ws.close()

    def _connect(self) -> None:
        browser = self.browser
        with self._changed:
            self._streams.clear()
        extra = {"suppress_origin": True}
        client = InOrderClient(
            reconnection=False, serializer="msgpack", websocket_extra_options=extra, handle_sigint=False
        )
        for event, heard in (("output", self._output), ("reset", self._reset), ("exit", self._exit)):
            client.on(event, heard, namespace=NAMESPACE)
        client.on("*", lambda event, *args: self._hear(event, *args), namespace=NAMESPACE)
        dead = threading.Event()
        client.on("disconnect", lambda *_: self._died(client, dead), namespace=NAMESPACE)
        answer = browser.get("/api/page-token")
        if answer.ok:  # else the old one is as good as any
            browser.boot["token"] = answer.json()["token"]
        else:
            self.told.append(("no_token", answer.text))
        client.connect(
            browser.url,
            headers={"Origin": browser.url, "Cookie": browser.cookie_header},
            auth={"token": browser.boot["token"]},
            transports=["websocket"],
            namespaces=[NAMESPACE],
            socketio_path=browser.boot["socket"]["path"].lstrip("/"),
            wait_timeout=CONNECT_S,
        )
        self._client, self._dead = client, dead
        opened = self.ask("open", self._hello)
        self.told.append(("open", opened))
        assert opened.get("lab"), opened
        for seen in list(self.terminals.values()):
            self._attach(seen)
        self.connects += 1
        self._up.set()

    def _died(self, client: Any, dead: threading.Event) -> None:
        dead.set()
        if self._client is client:  # else it is one we have left: its end must not end the next
            self._broken.set()

    # -- terminals ----------------------------------------------------------------------------------------------------

    def attach(self, name: str) -> Seen:
        """Show a terminal of the lab, made if it is not there."""
        seen = self.terminals[name] = Seen(name)
        self._attach(seen)
        return seen

    def _attach(self, seen: Seen) -> None:
        with self._changed:
            self._number += 1
            seen.stream = self._number
            seen.acked = seen.consumed
            self._streams[seen.stream] = seen
        start = None if seen.begin is None else seen.consumed
        asked = {"terminal": seen.name, "stream": seen.stream, "from": start, "rows": 24, "cols": 80}
        answer = self.ask("attach", asked)
        assert "error" not in answer, answer
        if answer["reset"]:
            self.wrong.append(f"{seen.name}: attached at {answer['offset']}, not at {start}")
        with self._changed:
            if seen.begin is None:
                seen.begin = answer["offset"]

    def ask(self, event: str, body: Any) -> Any:
        """Ask and wait for the answer; raises SocketIOError or OSError when the line breaks."""
        client, dead = self._client, self._dead
        if client is None:
            raise socketio.exceptions.DisconnectedError
        answered, answers = threading.Event(), []

        def answer(*values: Any) -> None:
            answers.extend(values)
            answered.set()

        client.emit(event, body, namespace=NAMESPACE, callback=answer)
        end = time.monotonic() + ANSWER_S
        while not answered.wait(0.01):
            if dead.is_set() or time.monotonic() > end:
                raise socketio.exceptions.DisconnectedError(f"no answer to {event}")
        return answers[0]

    def input(self, name: str, data: bytes) -> bool:
        """Type; False when the page is offline, as which it would say that nothing was sent."""
        client = self._client
        if client is None or not self.up:
            return False
        try:
            client.emit("input", (name, data), namespace=NAMESPACE)
        except Problems:
            return False
        return True

    def type(self, name: str, text: str, key: str) -> bool:
        """Type a block once: asked again after each broken line, with the same key; whether this request typed it."""
        end = time.monotonic() + HEAL_S
        while True:
            try:
                self.until_up()
                answer = self.ask("type", {"terminal": name, "text": text, "key": key})
                if "typed" in answer:
                    return bool(answer["typed"])
                self.told.append(("type", answer))
            except Problems as problem:
                self.told.append(("type", str(problem)))
            assert time.monotonic() < end, f"{key} was never answered: {self.told[-5:]}"
            self._ending.wait(0.02)

    def _output(self, stream: int, offset: int, data: bytes) -> None:
        self.reads.wait()
        with self._changed:
            seen = self._streams.get(stream)
            if seen is None:
                return
            if seen.begin is None:
                seen.begin = offset
            if offset != seen.consumed:
                self.wrong.append(f"{seen.name}: output at {offset}, not at {seen.consumed}")
                return
            seen.data += data
            # A page acknowledges also when nothing came for 200 ms; with this it needs no timer and does the same.
            idle = len(data) < ACK_BYTES // 4
            due = seen.consumed - seen.acked >= ACK_BYTES or idle
            consumed = seen.acked = seen.consumed if due else seen.acked
            self._changed.notify_all()
        if due:
            self._tell("ack", stream, consumed)

    def _reset(self, stream: int, offset: int) -> None:
        with self._changed:
            seen = self._streams.get(stream)
            if seen is not None:
                seen.resets.append(offset)
                seen.begin, seen.data = offset, bytearray()
                self._changed.notify_all()

    def _exit(self, stream: int, status: int | None) -> None:
        with self._changed:
            seen = self._streams.get(stream)
            if seen is not None:
                seen.exits.append(status)
                self._changed.notify_all()

    def _hear(self, event: str, *args: Any) -> None:
        self.told = [*self.told[-200:], (event, args[0] if args else None)]

    def _tell(self, event: str, *args: Any) -> None:
        try:
            self._client.emit(event, args, namespace=NAMESPACE)
        except (*Problems, AttributeError):
            pass  # the line has just broken; acknowledgements are cumulative

    # -- waiting ------------------------------------------------------------------------------------------------------

    def until(self, ready: Callable[[], object], what: str, deadline_s: float = 20.0) -> None:
        """Wait for output."""
        with self._changed:
            assert self._changed.wait_for(ready, deadline_s), f"in vain for {deadline_s:.0f} s: {what}; {self.wrong}"

    def until_text(self, seen: Seen, text: bytes, deadline_s: float = 20.0) -> None:
        """Wait until a terminal has printed this."""
        self.until(lambda: text in seen.data, f"{text!r} in {bytes(seen.data[-300:])!r}", deadline_s)

    def pause(self, seconds: float) -> None:
        """Let time pass: not to wait for something, but to hit another moment."""
        self._ending.wait(seconds)

    def heard(self, event: str) -> list[Any]:
        """What was told under this name."""
        return [body for name, body in list(self.told) if name == event]


def until_gone(pid: int) -> None:
    """Wait until a process is no more."""
    wait_until(lambda: not _alive(pid), f"process {pid} ends")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False
