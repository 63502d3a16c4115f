"""A learner's visit in one command: opens the first lesson, starts a lab, runs a command in its terminal.

    visit.py http://127.0.0.1:8000 'echo $((6 * 7))' 42

goes the way a browser goes (page, cookie, CSRF token, websocket with a signed token, the lab's terminal) and ends with
0 when the answer came. The command is echoed as it is typed, so it must not hold the answer. This runs beside the page,
in whatever network namespace that has, so it is a program and not a function of the test.
"""

from __future__ import annotations

import http.cookiejar
import json
import re
import sys
import threading
import time
import urllib.request
from typing import Any

import socketio

LAB_S = 60.0
ANSWER_S = 20.0


class Visitor:
    """One browser without a screen."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.cookies = http.cookiejar.CookieJar()
        # No proxy: the page is on this machine, whatever the environment says of the rest of the world.
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )
        self.shown = bytearray()
        self.news = threading.Condition()

    def get(self, path: str) -> str:
        """The text of a page."""
        with self.opener.open(self.address + path, timeout=ANSWER_S) as response:
            return str(response.read().decode())

    def post(self, path: str, csrf: str, body: dict[str, Any]) -> Any:
        """The answer to a JSON call."""
        headers = {"Content-Type": "application/json", "X-CSRF-Token": csrf, "Origin": self.address}
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        with self.opener.open(request, timeout=LAB_S) as response:
            return json.load(response)

    def open_lesson(self) -> dict[str, Any]:
        """Opens the first lesson of the catalogue; returns what the page tells its scripts."""
        link = re.search(r'href="(/en/lessons/[^"#]+)"', self.get("/en/"))
        if link is None:
            raise SystemExit("the catalogue names no lesson")
        boot = re.search(r'id="boot">(.*?)</script>', self.get(link[1]), re.S)
        if boot is None:
            raise SystemExit("the lesson page holds no boot data")
        return dict(json.loads(boot[1]))

    def connect(self, boot: dict[str, Any]) -> socketio.Client:
        """Opens the page's websocket."""
        client = socketio.Client(serializer="msgpack", reconnection=False)
        cookie = "; ".join(f"{each.name}={each.value}" for each in self.cookies)
        space = boot["socket"]["namespace"]
        client.on("output", self._output, namespace=space)
        client.connect(
            self.address,
            headers={"Cookie": cookie},  # its websocket library adds the Origin itself
            auth={"token": boot["token"]},
            transports=["websocket"],
            namespaces=[space],
            socketio_path=boot["socket"]["path"].lstrip("/"),
            wait_timeout=ANSWER_S,
        )
        return client

    def _output(self, _stream: int, _offset: int, data: bytes) -> None:
        with self.news:
            self.shown += data
            self.news.notify_all()

    def saw(self, text: str) -> bool:
        """Waits until the terminal has shown `text`."""
        with self.news:
            return self.news.wait_for(lambda: text.encode() in self.shown, ANSWER_S)


def _opened(client: socketio.Client, hello: dict[str, Any], space: str) -> dict[str, Any]:
    """Looks at the lab until it is ready: there is no event for a page that has not opened it yet."""
    deadline = time.monotonic() + LAB_S
    while True:
        answer = client.call("open", hello, namespace=space, timeout=ANSWER_S)
        if "error" in answer:
            raise SystemExit(f"open: {answer['error']}")
        lab = answer["lab"]
        if lab and lab["state"] == "ready":
            return dict(lab)
        if time.monotonic() > deadline or (lab and lab["state"] == "ended"):
            raise SystemExit(f"the lab is not ready: {lab}")
        time.sleep(0.1)


def visit(address: str, command: str, answer: str) -> None:
    """See the module.

    Raises:
        SystemExit: one step of the way did not work; says which.
    """
    visitor = Visitor(address)
    boot = visitor.open_lesson()
    lesson = boot["lesson"]["id"]
    visitor.post("/api/labs", boot["csrf"], {"lesson": lesson, "lang": "en"})
    client = visitor.connect(boot)
    space = boot["socket"]["namespace"]
    try:
        lab = _opened(client, {"lesson": lesson, "lang": "en"}, space)
        asked = {"terminal": "lab", "stream": 1, "from": None, "rows": 24, "cols": 80}
        attached = client.call("attach", asked, namespace=space, timeout=ANSWER_S)
        if "error" in attached:
            raise SystemExit(f"attach: {attached['error']}")
        typed = {"terminal": "lab", "text": f"{command}\n", "key": "visit/1"}
        client.call("type", typed, namespace=space, timeout=ANSWER_S)
        if not visitor.saw(answer):
            raise SystemExit(f"no answer; the terminal shows {bytes(visitor.shown)[-2000:]!r}")
        visitor.post(f"/api/labs/{lab['id']}/remove", boot["csrf"], {})
    finally:
        client.disconnect()
    print(f"lab {lab['id']} answered {answer}")


if __name__ == "__main__":
    visit(*sys.argv[1:4])
