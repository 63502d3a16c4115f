"""The pages people read, through the real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from tests.web.conftest import Stack
from tests.web.lab_client import Browser, until

ROOT = Path(__file__).parents[2]


def test_the_root_leads_to_the_language_one_asks_for(shared: Stack) -> None:
    """And a later choice is remembered."""
    browser = Browser(shared.web.url)
    answer = browser.get("/", headers={"Accept-Language": "ja,en;q=0.5"}, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/ja/")
    browser.get("/en/")
    answer = browser.get("/", headers={"Accept-Language": "ja"}, allow_redirects=False)
    assert answer.headers["Location"] == "/en/"


@pytest.mark.parametrize("lang", ["ja", "en"])
@pytest.mark.parametrize("path", ["", "lessons/01-try/", "source/web/gate.py", "nothing"])
def test_every_page_is_in_its_language_and_protected(shared: Stack, lang: str, path: str) -> None:
    """Also error pages: a policy with a nonce that is new each time, and no inline style or handler."""
    first, second = (Browser(shared.web.url).get(f"/{lang}/{path}") for _ in range(2))
    assert first.status_code == (404 if path == "nothing" else 200)
    assert f'<html lang="{lang}"' in first.text
    policies = [answer.headers["Content-Security-Policy"] for answer in (first, second)]
    assert policies[0] != policies[1]
    assert "unsafe" not in policies[0]
    nonces = set(re.findall(r'nonce="([^"]+)"', first.text))
    assert len(nonces) == 1
    assert f"'nonce-{nonces.pop()}'" in policies[0]
    assert not re.search(r"<[^>]+\s(style|on\w+)=", first.text)
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["Cache-Control"] == "no-store"


def test_no_page_names_another_machine(shared: Stack) -> None:
    """Nothing a page loads by itself comes from elsewhere; links a person may follow do not count."""
    for path in ("/ja/", "/en/lessons/01-try/", "/en/source/web/gate.py"):
        text = Browser(shared.web.url).get(path).text
        loaded = re.findall(r'<(?:script|link|img|iframe|source|video|audio)[^>]*\s(?:src|href)="([^"]+)"', text)
        assert [url for url in loaded if not url.startswith(("/", "data:"))] == []


def test_a_lesson_that_is_not_there_is_said_to_be_so(shared: Stack) -> None:
    """In the page's language, with what to do next."""
    answer = Browser(shared.web.url).get("/ja/lessons/99-none/")
    assert answer.status_code == 404
    assert "そのページはありません" in answer.text


def test_a_lesson_is_found_by_its_id_and_number_too(shared: Stack) -> None:
    """They lead to its one address."""
    for ref in ("try", "1"):
        answer = Browser(shared.web.url).get(f"/en/lessons/{ref}/", allow_redirects=False)
        assert answer.headers["Location"] == "/en/lessons/01-try/"


def test_a_lesson_with_a_mistake_is_named_and_the_others_go_on(shared: Stack) -> None:
    """File, line, and what was expected."""
    text = Browser(shared.web.url).get("/en/").text
    assert "02-broken/lesson.yaml:3" in text
    assert "Does it work?" in text


def test_the_boot_object_holds_what_scripts_need(shared: Stack) -> None:
    """And nothing of the lesson's text twice."""
    boot = Browser(shared.web.url).open("/en/lessons/01-try/")
    assert boot["socket"] == {"path": "/ws", "namespace": "/lab"}
    assert [step["id"] for step in boot["lesson"]["steps"]] == ["one", "two"]
    assert boot["lesson"]["steps"][0]["solve"] is True
    assert boot["limits"]["input_bytes"] == 16384
    assert "html" not in boot["lesson"]["steps"][0]


def test_a_stranger_address_is_told_so(shared: Stack) -> None:
    """X-Forwarded-For from nobody we trust changes nothing: the peer is loopback and is let in."""
    answer = requests.get(f"{shared.web.url}/en/", headers={"X-Forwarded-For": "8.8.8.8"}, timeout=10)
    assert answer.status_code == 200


def test_source_pages_show_only_our_code(shared: Stack) -> None:
    """With an anchor for each definition."""
    browser = Browser(shared.web.url)
    assert 'id="Gate"' in browser.get("/en/source/web/gate.py").text
    assert browser.get("/en/source/pyproject.toml").status_code == 404
    assert browser.get("/en/source/web/%2e%2e/pyproject.toml").status_code == 404


def test_probes_and_numbers(shared: Stack) -> None:
    """/healthz is the process, /readyz its engine and database, /metrics the names operators know."""
    browser = Browser(shared.web.url)
    assert browser.get("/healthz").json() == {"status": "ok"}
    assert browser.get("/readyz").json() == {"status": "ok", "engine": "ok", "database": "ok"}
    text = browser.get("/metrics").text
    documented = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    kinds = re.findall(r"# TYPE (\S+) (?!gauge)|# TYPE (lab_sockets|lab_containers) ", text)
    assert [name for pair in kinds for name in pair if name and f"`{name}" not in documented] == []
    for name in (
        "lab_terminal_bytes_total", "lab_terminal_echo_seconds", "lab_terminal_paused_total",
        "lab_terminal_resets_total", "lab_sockets", "lab_containers", "lab_engine_call_seconds",
    ):  # fmt: skip
        assert f"# TYPE {name} " in text, name


def test_without_the_engine_pages_still_come(stack: Stack) -> None:
    """The lesson can be read; /readyz says what is missing."""
    stack.engine.stop()
    browser = stack.browser("ja")
    assert browser.get("/ja/").status_code == 200
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.json()["engine"]) == (503, "away")
    stack.forget()
    assert browser.get("/readyz").ok


def test_everything_works_below_a_prefix(own: Stack) -> None:
    """As behind JupyterHub: addresses, cookie path, websocket."""
    own.web.stop()
    own.web.env["HAKO_WEB_PREFIX"] = "/user/ann"
    own.web.prefix = "/user/ann"
    own.web.start()
    browser = Browser(own.web.url)
    boot = browser.open("/user/ann/en/lessons/01-try/")
    assert boot["socket"]["path"] == "/user/ann/ws"
    assert {cookie.path for cookie in browser.http.cookies} == {"/user/ann/"}
    page = browser.get("/user/ann/en/").text
    assert re.findall(r'(?:href|src)="/(?!user/ann/)', page) == []
    assert browser.get("/en/").status_code == 404
    browser.url += "/user/ann"
    lab = browser.post("/api/labs", {"lesson": "try"})
    assert lab.ok
    browser.url = own.web.url
    with browser.socket() as socket:
        assert socket.ask("open", {"lesson": "try", "step": "one", "lang": "en"})["lab"]["id"] == lab.json()["id"]


def test_a_step_that_this_kernel_cannot_do_is_left_out_and_said(own: Stack) -> None:
    """Lesson 04 on a kernel without I/O throttling: all its other steps, and one sentence."""
    own.web.stop()
    own.web.env["HAKO_WEB_LESSONS"] = str(ROOT / "lessons")
    own.web.start()
    until(lambda: requests.get(f"{own.web.url}/readyz", timeout=5).ok, "web has found the engine")
    page = Browser(own.web.url).get("/en/lessons/04-cgroups/").text
    assert 'id="step-freeze"' in page and 'id="step-io"' not in page
    assert "without limits for disk I/O" in page
