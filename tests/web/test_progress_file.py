"""Progress as a file: out, in again somewhere else, and files that are none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Stack
from tests.web.lab_client import Browser

OK = {"ok": True, "code": "ok", "params": {}}


def _learn(stack: Stack) -> Browser:
    """Finish step one, predict in none, answer the quiz, open a hint of step two."""
    browser = stack.browser("en")
    stack.lab(browser)
    page = browser.socket()
    page.ask("open", {"lesson": "try", "step": "one", "lang": "en"})
    page.wait_event("checks")
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)
    page.ask("check")
    page.wait_event("done")
    page.close()
    assert browser.post("/api/progress", {"lesson": "try", "step": "two", "kind": "hint", "value": 2}).ok
    assert browser.post("/api/progress", {"lesson": "try", "kind": "quiz", "value": {"after": "b"}}).ok
    return browser


def _of_lab(steps: dict[str, Any]) -> dict[str, Any]:
    return {name: {key: value for key, value in step.items() if key != "checks"} for name, step in steps.items()}


def test_what_is_saved_can_be_read_where_nothing_was_done(stack: Stack) -> None:
    """Steps, hints, answers, and the place where one was; nothing that belongs to a lab."""
    browser = _learn(stack)
    answer = browser.get("/api/progress/file")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="hako-progress-')
    before = _of_lab(browser.get("/api/progress?lesson=try").json()["steps"])
    stack.forget()
    fresh = stack.browser("en")
    assert fresh.get("/api/progress?lesson=try").json()["steps"] == {}
    taken = fresh.post("/api/progress/file", answer.json())
    assert taken.json() == {"lessons": 1, "steps": 1, "unknown": 0}
    assert _of_lab(fresh.get("/api/progress?lesson=try").json()["steps"]) == before
    assert "started" in fresh.get("/en/").text
    assert fresh.get("/api/progress/file").json()["lessons"] == answer.json()["lessons"]


def test_a_file_only_adds(stack: Stack) -> None:
    """Read twice it changes nothing; what was answered here stands, whatever the file says."""
    browser = _learn(stack)
    file = browser.get("/api/progress/file").json()
    file["lessons"]["try"]["steps"]["quiz"]["quiz"]["after"] = "a"
    file["lessons"]["try"]["steps"]["two"]["hints"] = 1
    assert browser.post("/api/progress/file", file).json() == {"lessons": 1, "steps": 0, "unknown": 0}
    steps = browser.get("/api/progress?lesson=try").json()["steps"]
    assert (steps["quiz"]["quiz"], steps["two"]["hints"]) == ({"after": "b"}, 2)


def test_what_these_lessons_do_not_have_is_left_out_and_counted(stack: Stack) -> None:
    """Other lessons, other steps, other questions, options that a question has not."""
    browser = stack.browser("en")
    steps = {
        "one": {"done": True, "predicted": {"no-such": "a"}},
        "gone": {"done": True},
        "quiz": {"quiz": {"after": "z"}},
    }
    file = {
        "hako": "progress",
        "version": 1,
        "lessons": {"try": {"step": "gone", "steps": steps}, "other": {"step": "x"}},
    }
    assert browser.post("/api/progress/file", file).json() == {"lessons": 1, "steps": 1, "unknown": 2}
    known = browser.get("/api/progress?lesson=try").json()["steps"]
    assert list(known) == ["one"]
    assert known["one"]["predicted"] == {}


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"hako": "progress", "version": 2, "lessons": {}},
        {"hako": "progress", "version": 1, "lessons": {"<b>": {"step": "one"}}},
        {"hako": "progress", "version": 1, "lessons": {"try": {"step": "one", "steps": {"one": {"done": "yes"}}}}},
        {"hako": "progress", "version": 1, "lessons": {"try": {"step": "one", "steps": {"one": {"hints": 10**9}}}}},
        {"hako": "progress", "version": 1, "lessons": {f"l{n}": {"step": "one"} for n in range(300)}},
    ],
    ids=["empty", "version", "name", "not-a-bool", "huge", "too-many"],
)
def test_a_file_that_is_none_changes_nothing(stack: Stack, sent: dict[str, Any]) -> None:
    """A sentence in the page's language, and nothing of it is taken."""
    browser = stack.browser("ja")
    answer = browser.post("/api/progress/file", sent)
    assert answer.status_code == 400
    assert answer.json()["error"]["kind"] == "not_progress"
    assert "進み具合ではありません" in answer.json()["error"]["message"]
    assert browser.get("/api/progress/file").json()["lessons"] == {}


def test_it_may_be_larger_than_other_bodies_and_has_a_bound(stack: Stack) -> None:
    """60 KiB are read, a megabyte is refused."""
    browser = stack.browser("en")
    file = {"hako": "progress", "version": 1, "lessons": {}, "note": "x" * 60_000}
    assert browser.post("/api/progress/file", file).ok
    file["note"] = "x" * 1_000_000
    assert browser.post("/api/progress/file", file).status_code == 413


def test_nobody_reads_or_writes_it_without_being_known(shared: Stack) -> None:
    """The same doors as for every other call."""
    stranger = Browser(shared.web.url)
    assert stranger.get("/api/progress/file").status_code == 403
    known = shared.browser("en")
    assert known.post("/api/progress/file", {}, **{"X-CSRF-Token": "no"}).status_code == 403
