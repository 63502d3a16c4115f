"""Web, engine, or both go away in mid-work: shells live, no byte is lost, browsers come back."""

from __future__ import annotations

import signal
import time
from functools import partial

import pytest

from tests.web.conftest import Stack, alive
from tests.web.lab_client import Browser, LabSocket, until
from web.serve import GRACE_S


def _page(stack: Stack, browser: Browser) -> LabSocket:
    stack.lab(browser)
    page = browser.socket()
    page.ask("open", {"lesson": "try", "step": "one", "lang": "en"})
    return page


def test_sigterm_closes_transports_so_that_browsers_come_back(stack: Stack) -> None:
    """Fast, with exit status 0, and as `transport close`: after `io server disconnect` a client stays away."""
    browser = stack.browser()
    page = _page(stack, browser)
    page.attach("lab")
    began = time.monotonic()
    assert stack.web.stop() == 0
    took = time.monotonic() - began
    (reason,) = page.wait_event("disconnect")
    assert "server disconnect" not in str(reason)
    assert took < GRACE_S, f"{took:.1f} s: it waited for pages that were told to go"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_ctrl_c_ends_it_too(stack: Stack, number: int) -> None:
    """Open pages must not hold it."""
    browser = stack.browser()
    page = _page(stack, browser)
    began = time.monotonic()
    stack.web.stop(number)
    assert time.monotonic() - began < GRACE_S
    page.wait_event("disconnect")


@pytest.mark.slow
def test_killing_the_web_process_loses_no_byte(stack: Stack) -> None:
    """Five times with -9 in the middle of output: the same shell goes on, its bytes in order, none twice."""
    browser = stack.browser()
    page = _page(stack, browser)
    stream = page.attach("lab")
    page.tell("input", "lab", b"i=0; until read -t 0.05; do echo line-$((i+=1)); done; echo end-$((1+1))\n")
    page.wait_text(stream, b"\r\nline-1\r\n")
    collected = b""
    for _ in range(5):
        stack.web.kill()
        page.wait_event("disconnect")
        collected += bytes(page.streams[stream])
        at = page.offsets[stream] + len(page.streams[stream])
        stack.web.start()
        browser.boot["token"] = browser.get("/api/page-token").json()["token"]
        page = _page(stack, browser)
        stream = page.attach("lab", at)
        page.wait(partial(page.streams.get, stream), "more output")
        assert page.of("reset") == []
    page.tell("input", "lab", b"\n")
    collected += page.wait_text(stream, b"end-2")
    lines = [line for line in collected.decode().splitlines() if line.startswith("line-")]
    assert len(lines) > 50
    assert lines == [f"line-{number}" for number in range(1, len(lines) + 1)]
    page.close()


def test_the_worker_ends_with_its_master(stack: Stack) -> None:
    """kill -9 of gunicorn's master alone: the next web process finds the port free at once, and the page comes back."""
    browser = stack.browser()
    page = _page(stack, browser)
    page.attach("lab")
    assert stack.web.process is not None
    workers = stack.web.workers()
    stack.web.process.kill()
    stack.web.process.wait()
    began = time.monotonic()
    page.wait_event("disconnect")
    # Its last breath is later than its pages': till then it is the one that answers on the port.
    until(lambda: not any(map(alive, workers)), "the worker is gone")
    assert time.monotonic() - began < GRACE_S
    stack.web.start()
    browser.socket().close()


def test_an_open_page_outlives_the_secret_of_a_process(stack: Stack) -> None:
    """Cookie, CSRF token and page token of a page that was open before are still good."""
    browser = stack.browser()
    stack.web.kill()
    stack.web.start()
    assert browser.post("/api/labs", {"lesson": "try"}).ok
    with browser.socket() as page:
        assert page.ask("open", {"lesson": "try", "lang": "en"})["up"]


def test_the_engine_goes_and_comes_back_under_an_open_page(stack: Stack) -> None:
    """The page is told, what is typed meanwhile is refused in words, and the streams go on by themselves."""
    browser = stack.browser()
    page = _page(stack, browser)
    stream = page.attach("lab")
    page.tell("input", "lab", b"for i in $(seq 1 30); do echo line-$i; sleep 0.1; done; echo end-$((1+1))\n")
    page.wait_text(stream, b"\r\nline-1\r\n")
    stack.engine.stop()
    page.wait_event("engine", lambda told: told == {"up": False})
    page.tell("input", "lab", b"lost")
    (trouble,) = page.wait_event("trouble")
    assert trouble["code"] == "not_typed"
    answer = page.ask("attach", {"terminal": "second", "stream": 9, "from": None, "rows": 24, "cols": 80})
    assert answer["error"]["kind"] == "away"
    stack.engine.listen()
    page.wait_event("engine", lambda told: told == {"up": True})
    text = page.wait_text(stream, b"end-2")
    assert page.of("reset") == []
    assert [line for line in text.decode().splitlines() if line.startswith("line-")] == [
        f"line-{number}" for number in range(1, 31)
    ]
    assert b"lost" not in text
    page.tell("input", "lab", b"echo again-$((1+1))\n")
    page.wait_text(stream, b"again-2")
    page.close()


def test_the_watch_goes_on_after_the_engine_came_back(stack: Stack) -> None:
    """Pictures and checks too."""
    browser = stack.browser()
    page = _page(stack, browser)
    lab = next(iter(stack.engine.labs))
    stack.engine.restart()
    page.wait_event("engine", lambda told: told == {"up": True})
    until(lambda: len(stack.engine.called("observe.watch")) >= 2, "watched again")
    stack.engine.results["alpha"] = {"ok": True, "code": "ok", "params": {}}
    stack.engine.observe(lab, {"processes": [{"pid": 9}], "namespaces": []})
    page.wait_event("observed", lambda told: told["observation"]["processes"] == [{"pid": 9}])
    page.wait_event("checks", lambda told: told["results"][0]["state"] == "done")
    page.close()


def test_a_lab_that_ended_meanwhile_is_said_to_have(stack: Stack) -> None:
    """The engine came back without it."""
    browser = stack.browser()
    page = _page(stack, browser)
    stack.engine.stop()
    page.wait_event("engine", lambda told: told == {"up": False})
    stack.engine.labs.clear()
    stack.engine.listen()
    page.wait_event("lab", lambda told: told["state"] == "ended")
    page.close()


def test_a_terminal_that_is_gone_after_a_restart_is_a_new_shell(stack: Stack) -> None:
    """Under its old name, in the same stream, after a reset of the screen by its offset."""
    browser = stack.browser()
    page = _page(stack, browser)
    stream = page.attach("lab")
    page.tell("input", "lab", b"echo old-$((1+1))\n")
    page.wait_text(stream, b"old-2")
    stack.engine.stop()
    page.wait_event("engine", lambda told: told == {"up": False})
    for terminal in list(stack.engine.terminals.values()):
        stack.engine.kill(terminal)
    stack.engine.listen()
    page.wait_event("reset", lambda number, offset: (number, offset) == (stream, 0))
    page.tell("input", "lab", b"echo new-$((1+1))\n")
    assert b"old-2" not in page.wait_text(stream, b"new-2")
    page.close()
