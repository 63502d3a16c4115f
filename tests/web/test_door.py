"""Who may open the websocket, and how one who may not is put out."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgpack
import pytest
import requests
import socketio
from websocket import (
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    create_connection,
)

from tests.web.conftest import Stack
from tests.web.lab_client import OPENED, Browser, until
from web.security import Signer, secret_key


def _upgrade(stack: Stack, **headers: str) -> int:
    """The status an upgrade with these headers gets."""
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers,
    }  # fmt: skip
    answer = requests.get(f"{stack.web.url}/ws/?EIO=4&transport=websocket", headers=headers, timeout=10, stream=True)
    answer.close()
    return answer.status_code


def test_absent_and_foreign_origins_get_no_upgrade(shared: Stack) -> None:
    """403 in plain HTTP, so that no thread is left in a websocket."""
    assert _upgrade(shared) == 403
    assert _upgrade(shared, Origin="http://evil.example") == 403
    assert _upgrade(shared, Origin="null") == 403
    assert _upgrade(shared, Origin=shared.web.url) == 101


def test_polling_is_not_spoken(shared: Stack) -> None:
    """Only websockets: no stickiness, no upgrade round trips."""
    answer = requests.get(
        f"{shared.web.url}/ws/?EIO=4&transport=polling", headers={"Origin": shared.web.url}, timeout=10
    )
    assert answer.status_code == 400


def test_deflate_is_not_accepted(shared: Stack) -> None:
    """The offer is stripped, so the answer names no extension."""
    ws = _raw(shared, **{"Sec-WebSocket-Extensions": "permessage-deflate"})
    assert "sec-websocket-extensions" not in {name.lower() for name in ws.getheaders()}
    ws.close()


def _raw(stack: Stack, **headers: str) -> WebSocket:
    """A websocket that speaks no Socket.IO by itself."""
    ws = create_connection(
        stack.web.url.replace("http", "ws") + "/ws/?EIO=4&transport=websocket",
        header={"Origin": stack.web.url, **headers},
        suppress_origin=True,
        timeout=20,
    )
    OPENED.append(ws.sock.close)
    return ws


def _refused(stack: Stack, browser: Browser, token: str | None = None) -> str:
    """Connect, expect a refusal, and give its reason; the transport must be closed by the server."""
    client = socketio.Client(
        reconnection=False, serializer="msgpack", websocket_extra_options={"suppress_origin": True}
    )
    reasons: list[object] = []
    client.on("connect_error", lambda data: reasons.append(data), namespace="/lab")
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(
            stack.web.url,
            headers={"Origin": stack.web.url, "Cookie": browser.cookie_header},
            auth={"token": browser.boot.get("token") if token is None else token},
            transports=["websocket"],
            namespaces=["/lab"],
            socketio_path="ws",
            wait_timeout=5,
        )
    until(lambda: reasons, "a reason")
    client.disconnect()
    (reason,) = reasons[:1]
    return str(reason["message"] if isinstance(reason, dict) else reason)


def test_cookie_and_token_are_both_needed_and_belong_together(shared: Stack) -> None:
    """The cookie alone is sent by every page in the browser; the token alone is read from one."""
    mine, other = shared.browser(), shared.browser()
    assert _refused(shared, mine, "") == "token"
    assert _refused(shared, mine, other.boot["token"]) == "token"
    bare = Browser(shared.web.url)
    bare.boot = dict(mine.boot)
    assert _refused(shared, bare) == "learner"


def test_an_old_token_is_refused(shared: Stack) -> None:
    """An hour is enough: a page fetches a new one before it connects again."""
    browser = shared.browser()
    old = Signer(secret_key(shared.web.folder / "web"), 1)
    parts = browser.boot["token"].split(".")
    assert old.page_token_is_good(browser.boot["token"], "x") is False
    assert _refused(shared, browser, ".".join([parts[0], "AAAAAA", parts[2]])) == "token"


def test_a_refused_transport_is_closed_by_the_server(shared: Stack) -> None:
    """python-socketio alone leaves it open, with a thread in it."""
    browser = shared.browser()
    ws = _raw(shared, Cookie=browser.cookie_header)
    ws.recv()
    ws.send_binary(_connect_packet("bad"))
    began = time.monotonic()
    with pytest.raises((WebSocketConnectionClosedException, ConnectionError, OSError)):
        while ws.recv():
            pass
        raise WebSocketConnectionClosedException("closed in good order")
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_socket_that_never_becomes_a_page_is_put_out(shared: Stack) -> None:
    """Ten seconds after the upgrade, so that silent connections cannot fill the threads."""
    ws = _raw(shared)
    ws.recv()
    with pytest.raises((WebSocketConnectionClosedException, ConnectionError, OSError)):
        while ws.recv():
            pass
        raise WebSocketConnectionClosedException("closed in good order")


def test_many_pages_of_one_learner_are_bounded(own: Stack) -> None:
    """So that one cannot take every place; closing one makes room."""
    own.web.stop()
    own.web.env["HAKO_WEB_PAGES_PER_LEARNER"] = "2"
    own.web.start()
    browser = own.browser()
    first, second = browser.socket(), browser.socket()
    assert _refused(own, browser) == "many"
    first.close()
    until(lambda: "lab_sockets 1.0" in browser.get("/metrics").text, "the page is gone")
    browser.socket().close()
    second.close()


def test_a_full_server_keeps_answering_pages(own: Stack) -> None:
    """The last threads are for HTTP; the next websocket gets 503 in plain words."""
    own.web.stop()
    own.web.env.update(HAKO_WEB_THREADS="10", HAKO_WEB_HTTP_THREADS="8")
    own.web.start()
    browser = own.browser()
    sockets = [browser.socket(), browser.socket()]
    assert _upgrade(own, Origin=own.web.url) == 503
    assert browser.get("/en/").status_code == 200
    for each in sockets:
        each.close()


def test_a_place_that_was_left_is_free_at_once(own: Stack) -> None:
    """A class that reconnects all at once must not be refused for the places it has just left."""
    own.web.stop()
    own.web.env.update(HAKO_WEB_THREADS="10", HAKO_WEB_HTTP_THREADS="8")
    own.web.start()
    browser = own.browser()
    for _ in range(6):
        browser.socket().close()
        until(lambda: "lab_sockets 0.0" in browser.get("/metrics").text, "the page is gone", 5)


def test_a_client_that_vanishes_frees_its_thread(stack: Stack) -> None:
    """A closed lid sends no goodbye; here the peer is alive but silent, and a reset connection ends at once."""
    browser = stack.browser()
    with browser.socket() as page:
        page.ask("open", {"lesson": "try", "lang": "en"})
        until(lambda: "lab_sockets 1.0" in browser.get("/metrics").text, "it is counted")
        raw = page.client.eio.ws.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        raw.shutdown(socket.SHUT_RDWR)
        until(lambda: "lab_sockets 0.0" in browser.get("/metrics").text, "it is gone")


@pytest.mark.slow
def test_a_silent_peer_with_an_open_connection_frees_its_thread(own: Stack) -> None:
    """A ghost: TCP is up and nobody answers. Its thread must not wait for ever."""
    own.web.stop()
    own.web.env.update(HAKO_WEB_PING_INTERVAL_S="1", HAKO_WEB_PING_TIMEOUT_S="1", HAKO_WEB_THREADS="10")
    own.web.env.update(HAKO_WEB_HTTP_THREADS="8")
    own.web.start()
    browser = own.browser()
    for _ in range(3):  # more than there is room for at once
        ghosts = [until(lambda: _raw_if_room(own, browser), "a free place") for _ in range(2)]
        for ghost in ghosts:
            ghost.recv()
            ghost.send_binary(_connect_packet(browser.boot["token"]))
        until(lambda: "lab_sockets 2.0" in browser.get("/metrics").text, "both are pages")
        until(lambda: "lab_sockets 0.0" in browser.get("/metrics").text, "both are given up")
    until(lambda: _raw_if_room(own, browser), "a free place in the end")
    assert own.web.stop() == 0


def _raw_if_room(stack: Stack, browser: Browser) -> WebSocket | None:
    """A websocket; None while the server says that it is full: a thread comes free a moment after its page is gone."""
    try:
        return _raw(stack, Cookie=browser.cookie_header)
    except WebSocketBadStatusException as refused:
        assert refused.status_code == 503
        return None


def _connect_packet(token: str) -> bytes:
    """A Socket.IO CONNECT with a token, as msgpack."""
    return bytes(msgpack.packb({"type": 0, "nsp": "/lab", "data": {"token": token}}))


def test_threads_and_descriptors_do_not_pile_up(own: Stack) -> None:
    """Thirty pages come and go; the process is as before."""
    own.web.stop()
    own.web.env["HAKO_WEB_PING_INTERVAL_S"] = "1"  # a page's last thread sleeps this long after it has gone
    own.web.start()
    browser = own.browser()
    own.lab(browser)

    def visit() -> None:
        with browser.socket() as page:
            page.ask("open", {"lesson": "try", "step": "one", "lang": "en"})
            page.attach("lab")

    def use() -> tuple[int, int]:
        assert own.web.process is not None
        (worker,) = Path(f"/proc/{own.web.process.pid}/task/{own.web.process.pid}/children").read_text().split()
        return len(list(Path(f"/proc/{worker}/fd").iterdir())), len(list(Path(f"/proc/{worker}/task").iterdir()))

    for _ in range(3):
        visit()
    until(lambda: "lab_sockets 0.0" in browser.get("/metrics").text, "all gone")
    before = use()
    for _ in range(30):
        visit()
    until(lambda: "lab_sockets 0.0" in browser.get("/metrics").text, "all gone")
    # The gthread pool grows to what was needed at once; a page has four threads of its own, which must all be gone.
    until(lambda: use()[0] <= before[0] + 2 and use()[1] <= before[1] + 8, f"{before} again")
