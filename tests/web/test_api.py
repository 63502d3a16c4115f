"""JSON over HTTP: who may ask, what may be written, and errors in words."""

from __future__ import annotations

import sqlite3
import threading

import pytest
import requests

from engine.errors import Exhausted
from tests.web.conftest import Stack
from tests.web.lab_client import Browser


def test_a_call_without_cookie_is_refused(shared: Stack) -> None:
    """Pages give the cookie; scripts of other sites have none."""
    answer = requests.get(f"{shared.web.url}/api/labs", timeout=10)
    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "stranger"


@pytest.mark.parametrize("token", ["", "rubbish"])
def test_a_post_without_its_token_is_refused(shared: Stack, token: str) -> None:
    """The cookie alone would be sent by a form of any page in an old browser."""
    browser = shared.browser("ja")
    answer = browser.post("/api/labs", {"lesson": "try"}, **{"X-CSRF-Token": token})
    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "csrf"
    assert "再読み込み" in answer.json()["error"]["hint"]


def test_a_token_of_another_browser_is_refused(shared: Stack) -> None:
    """Both belong to the one learner, but not to one session."""
    mine, other = shared.browser(), shared.browser()
    assert mine.post("/api/labs", {"lesson": "try"}, **{"X-CSRF-Token": other.boot["csrf"]}).status_code == 403


def test_a_lesson_has_one_lab_however_often_it_is_asked_for(stack: Stack) -> None:
    """Two tabs opened at once do not make two."""
    browsers = [stack.browser() for _ in range(4)]
    found: list[str] = []
    threads = [threading.Thread(target=lambda b=each: found.append(stack.lab(b))) for each in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(stack.engine.called("lab.create")) == 1


def test_a_lab_that_has_ended_is_replaced(stack: Stack) -> None:
    """Whether the engine still remembers it or not."""
    browser = stack.browser()
    first = stack.lab(browser)
    stack.engine.labs[first]["state"] = "ended"
    second = stack.lab(browser)
    del stack.engine.labs[second]
    third = stack.lab(browser)
    assert len({first, second, third}) == 3


def test_the_verbs_of_a_lab(stack: Stack) -> None:
    """Pause, resume, more time, afresh, end; a reset begins a new attempt."""
    browser = stack.browser()
    lab = stack.lab(browser)
    assert browser.post(f"/api/labs/{lab}/pause", {}).json()["state"] == "paused"
    assert browser.post(f"/api/labs/{lab}/resume", {}).json()["state"] == "ready"
    before = stack.engine.labs[lab]["ends_at"]
    assert browser.post(f"/api/labs/{lab}/extend", {}).json()["ends_at"] > before
    attempt = browser.get("/api/labs").json()["labs"][0]["attempt"]
    assert browser.post(f"/api/labs/{lab}/reset", {"step": "one"}).json()["attempt"] > attempt
    assert browser.post(f"/api/labs/{lab}/remove", {}).json()["state"] == "ended"
    assert browser.get("/api/labs").json() == {"labs": []}


@pytest.mark.parametrize("verb", ["pause", "resume", "extend", "reset", "remove"])
def test_anothers_lab_is_as_if_it_were_not_there(stack: Stack, verb: str) -> None:
    """Nobody learns even that it exists."""
    browser = stack.browser()
    mine = stack.lab(browser)
    stack.engine.labs["foreign"] = {**stack.engine.labs[mine], "id": "foreign", "owner": "somebody-else"}
    answers = [browser.post(f"/api/labs/{lab}/{verb}", {}) for lab in ("foreign", "never-was")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["error"]["message"] == answers[1].json()["error"]["message"]
    assert stack.engine.labs["foreign"]["state"] == "ready"
    assert browser.get("/api/labs").json()["labs"][0]["id"] == mine


def test_a_lab_the_database_has_forgotten_can_still_be_ended(stack: Stack) -> None:
    """It takes one of the machine's places until then."""
    browser = stack.browser()
    lab = stack.lab(browser)
    with sqlite3.connect(stack.web.folder / "web" / "progress.sqlite3", timeout=10) as database:
        database.execute("DELETE FROM attempt")
    database.close()
    (told,) = browser.get("/api/labs").json()["labs"]
    assert (told["id"], told["attempt"], told["lesson"]) == (lab, None, "")
    assert browser.post(f"/api/labs/{lab}/reset", {}).status_code == 404
    assert browser.post(f"/api/labs/{lab}/remove", {}).ok
    assert stack.engine.labs == {}


def test_an_engine_error_comes_in_the_pages_language(own: Stack) -> None:
    """With the status of its kind, and the engine's own words as detail."""
    own.engine.do_lab_create = _no_place  # type: ignore[method-assign, assignment]
    answer = own.browser("ja").post("/api/labs", {"lesson": "try"})
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["kind"], error["message"]) == ("exhausted", "空きがありません。")
    assert "32 labs" in error["detail"]


def _no_place(*_: object) -> None:
    raise Exhausted("All 32 labs are taken.", "End one.")


def test_progress_is_kept_and_read_back(shared: Stack) -> None:
    """Predictions, hints, quiz, and that one was shown."""
    browser = shared.browser()
    for kind, value in (("predicted", {"guess": "a"}), ("hint", 2), ("shown", True), ("quiz", {"after": "b"})):
        answer = browser.post("/api/progress", {"lesson": "try", "step": "one", "kind": kind, "value": value})
        assert answer.ok, answer.text
    steps = browser.get("/api/progress?lesson=try").json()["steps"]
    assert steps["one"]["predicted"] == {"guess": "a"}
    assert steps["one"]["hints"] == 2
    assert steps["one"]["shown"] is True
    assert browser.open("/ja/lessons/01-try/")["progress"]["steps"]["one"]["predicted"] == {"guess": "a"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"lesson": "none", "step": "one", "kind": "hint", "value": 1}, "no_lesson"),
        ({"lesson": "try", "step": "none", "kind": "hint", "value": 1}, "no_step"),
        ({"lesson": "try", "step": "one", "kind": "step_done", "value": None}, "not_by_hand"),
        ({"lesson": "try", "step": "one", "kind": "check_done", "value": None}, "bad_message"),
        ({"lesson": "try", "step": "one", "kind": "predicted", "value": {"unknown": "a"}}, "bad_message"),
        ({"lesson": "try", "step": "one", "kind": "predicted", "value": {"guess": "x" * 3000}}, "bad_message"),
        ({"lesson": "try", "step": "one", "kind": "hint", "value": -1}, "bad_message"),
        ([1, 2], "bad_message"),
        ("text", "bad_message"),
    ],
)
def test_nothing_else_can_be_written(shared: Stack, body: object, code: str) -> None:
    """Above all nobody finishes a step by hand: the kernel does."""
    answer = shared.browser().post("/api/progress", body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, code)


def test_a_body_that_is_too_long_is_refused(shared: Stack) -> None:
    """Before it is read."""
    answer = shared.browser().post("/api/progress", {"x": "y" * 100_000})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "http_413")


def test_an_unexpected_error_shows_an_id_and_no_trace(own: Stack) -> None:
    """The trace is in the log under the same id."""
    own.engine.do_lab_list = lambda *_: [{"no": "id"}]  # type: ignore[method-assign]
    browser = own.browser()
    answer = browser.get("/api/labs")
    assert answer.status_code == 500
    ident = answer.json()["error"]["detail"]
    assert "Traceback" not in answer.text
    assert ident in own.web.log


def test_a_page_token_can_be_renewed(shared: Stack) -> None:
    """A page that was open for an hour connects again with a new one."""
    browser = shared.browser()
    token = browser.get("/api/page-token").json()["token"]
    with browser.socket(token=token) as socket:
        assert socket.ask("open", {"lesson": "try", "lang": "en"})["up"] is True


def test_floods_are_slowed_down(own: Stack) -> None:
    """A loop that makes labs gets 429 in words."""
    browser = own.browser()
    statuses = set()
    for _ in range(80):
        answer = browser.post("/api/labs", {"lesson": "try"})
        statuses.add(answer.status_code)
        if answer.status_code == 429:
            assert answer.json()["error"]["kind"] == "http_429"
            break
    assert statuses == {200, 429}


def test_a_browser_without_the_page_cannot_use_the_api(shared: Stack) -> None:
    """A cookie from nowhere is no session."""
    browser = Browser(shared.web.url)
    browser.http.cookies.set("hako", "forged")
    assert browser.get("/api/labs").status_code == 403
