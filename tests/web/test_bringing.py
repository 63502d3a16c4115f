"""Bring me to this step: the steps before are done one after the other, each until the kernel agrees."""

from __future__ import annotations

from tests.web.conftest import Stack
from tests.web.lab_client import Browser, LabSocket, until

OK = {"ok": True, "code": "ok", "params": {}}


def _open(stack: Stack, step: str = "two") -> tuple[Browser, LabSocket]:
    browser = stack.browser("en")
    stack.lab(browser)
    page = browser.socket()
    page.ask("open", {"lesson": "try", "step": step, "lang": "en"})
    page.wait_event("checks")
    return browser, page


def test_the_steps_before_are_done_and_the_step_itself_is_not(stack: Stack) -> None:
    """Set up, typed in `show`, waited for, told; the steps count as shown and are done by what the kernel says."""
    browser, page = _open(stack)
    assert page.ask("bring", {"step": "two", "key": "k1"}) == {}
    (told,) = page.wait_event("bringing")
    assert told == {"step": "one", "target": "two", "at": 1, "of": 1}
    page.wait_event("terminals", lambda told: [each["name"] for each in told["terminals"]] == ["show"])
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)
    (arrived,) = page.wait_event("brought")
    assert arrived == {"step": "two", "target": "two", "ok": True}
    assert [args["script"] for args in stack.engine.called("lab.run")] == ["touch /tmp/ready\n"]
    steps = browser.get("/api/progress?lesson=try").json()["steps"]
    assert (steps["one"]["done"], steps["one"]["shown"]) == (True, True)
    assert not steps.get("two", {}).get("done")
    page.close()


def test_what_is_done_in_this_lab_is_not_done_again(stack: Stack) -> None:
    """Nothing is typed; the page arrives at once."""
    _, page = _open(stack, "one")
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)
    assert {line["state"] for line in page.ask("check")["results"]} == {"done"}
    page.ask("bring", {"step": "two", "key": "k2"})
    (arrived,) = page.wait_event("brought")
    assert arrived["ok"] is True
    assert stack.engine.called("terminal.type") == []
    page.close()


def test_every_step_gets_a_fresh_shell(stack: Stack) -> None:
    """What the solution of before left running in `show` would swallow the next."""
    _, page = _open(stack)
    page.ask("solve", {"step": "one", "key": "before"})
    page.wait_event("terminals")
    first = page.attach("show")
    page.wait_text(first, b"solved-42")
    page.ask("bring", {"step": "two", "key": "k3"})
    page.wait_event("exit")
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)
    assert page.wait_event("brought")[0]["ok"] is True
    page.close()


def test_nobody_is_brought_without_a_lab(stack: Stack) -> None:
    """The page is told what to do instead."""
    browser = stack.browser("en")
    page = browser.socket()
    page.ask("open", {"lesson": "try", "lang": "en"})
    assert page.ask("bring", {"step": "two"})["error"]["kind"] == "no_lab"
    assert page.ask("bring", {"step": "nowhere"})["error"]["kind"] == "no_step"
    page.close()


def test_a_page_that_leaves_ends_its_journey(stack: Stack) -> None:
    """Nobody would see it; the lab can be brought again by the next page."""
    browser, page = _open(stack)
    page.ask("bring", {"step": "two", "key": "k4"})
    page.wait_event("terminals")
    page.close()
    again = browser.socket()
    again.ask("open", {"lesson": "try", "step": "two", "lang": "en"})
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)

    def brought() -> bool:
        again.ask("bring", {"step": "two", "key": "k5"})
        return bool(again.of("brought"))

    until(brought, "the way is free again", 20)
    assert again.wait_event("brought")[0]["ok"] is True
    again.close()
