"""A lesson's steps while they are worked on: checks that run by themselves, set-ups, "show me", and what is kept."""

from __future__ import annotations

from engine.errors import Failed
from tests.web.conftest import Stack
from tests.web.lab_client import Browser, LabSocket, until

OK = {"ok": True, "code": "ok", "params": {}}


def _at(stack: Stack, step: str = "one", lang: str = "en") -> tuple[Browser, LabSocket, str]:
    browser = stack.browser(lang)
    lab = stack.lab(browser)
    page = browser.socket()
    page.ask("open", {"lesson": "try", "step": step, "lang": lang})
    page.wait_event("checks")
    return browser, page, lab


def _states(told: dict[str, object]) -> dict[str, str]:
    return {line["id"]: line["state"] for line in told["results"]}  # type: ignore[attr-defined]


def test_a_change_in_the_lab_is_noticed_by_itself(stack: Stack) -> None:
    """The engine says that something changed; the check is evaluated; the line changes."""
    _, page, lab = _at(stack)
    stack.engine.results["alpha"] = OK
    stack.engine.observe(lab, {"processes": [{"pid": 2}], "namespaces": []})
    page.wait_event("checks", lambda told: _states(told) == {"first": "done", "second": "open"})
    page.close()


def test_something_else_is_said_with_the_lessons_own_advice(stack: Stack) -> None:
    """In the page's language, and again in the other one when it is switched."""
    _, page, lab = _at(stack, lang="ja")
    stack.engine.results["alpha"] = {"ok": False, "code": "alpha.other", "params": {}}
    stack.engine.observe(lab, {"processes": [], "namespaces": [1]})
    (told,) = page.wait_event("checks", lambda told: _states(told)["first"] == "other")
    assert "アルファ" in told["results"][0]["try"]
    page.ask("lang", {"lang": "en"})
    page.wait_event("checks", lambda told: "<strong>alpha</strong>" in told["results"][0]["try"])
    page.close()


def test_a_check_that_throws_is_reported_in_its_place(stack: Stack) -> None:
    """The others go on and can be finished."""
    _, page, lab = _at(stack)
    stack.engine.results.update(alpha=Failed("The look failed <b>."), beta=OK, gamma=OK)
    stack.engine.observe(lab, {"processes": [], "namespaces": [2]})
    (told,) = page.wait_event("checks", lambda told: _states(told) == {"first": "broken", "second": "done"})
    assert "The look failed &lt;b&gt;" in told["results"][0]["saw"]
    stack.engine.results["alpha"] = OK
    assert _states({"results": page.ask("check")["results"]}) == {"first": "done", "second": "done"}
    page.close()


def test_a_finished_step_is_told_once_to_every_page_and_kept(stack: Stack) -> None:
    """Also when what it asked for is gone again."""
    browser, page, lab = _at(stack)
    _, other, _ = _at(stack, lang="ja")
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)
    stack.engine.observe(lab, {"processes": [3], "namespaces": []})
    (done,) = page.wait_event("done")
    assert (done["step"], done["learnt"], done["progress"]["done"]) == ("one", "One is done.", True)
    assert other.wait_event("done")[0]["learnt"] == "一つ終わりました。"
    stack.engine.results.clear()
    for each in (page, other):
        assert _states({"results": each.ask("check")["results"]}) == {"first": "done", "second": "done"}
        assert len(each.of("done")) == 1
    assert browser.get("/api/progress?lesson=try").json()["steps"]["one"]["done"] is True
    assert "started" in browser.get("/en/").text
    page.close()
    other.close()


def test_checks_seen_one_after_the_other_finish_a_step(stack: Stack) -> None:
    """The first need not hold any more when the second does, and a web restart in between forgets nothing."""
    _, page, lab = _at(stack)
    stack.engine.results["alpha"] = OK
    stack.engine.observe(lab, {"processes": [4], "namespaces": []})
    page.wait_event("checks", lambda told: _states(told)["first"] == "done")
    page.close()
    stack.web.kill()
    stack.web.start()
    stack.engine.results.clear()
    stack.engine.results.update(beta=OK, gamma=OK)
    _, page, _ = _at(stack)
    page.wait_event("done")
    page.close()


def test_enter_looks_again_although_nothing_was_observed(stack: Stack) -> None:
    """A command may change what no observation shows, as a file."""
    _, page, _ = _at(stack)
    page.attach("lab")
    stack.engine.results["alpha"] = OK
    page.tell("input", "lab", b"touch /tmp/x\r")
    page.wait_event("checks", lambda told: _states(told)["first"] == "done")
    page.close()


def test_a_quiet_lab_is_not_evaluated(stack: Stack) -> None:
    """Nothing changed, so nothing is asked; a burst of changes is one evaluation a second."""
    _, page, lab = _at(stack)
    before = len(stack.engine.called("check.evaluate"))
    for number in range(40):
        stack.engine.observe(lab, {"processes": [number], "namespaces": []})
    page.wait(lambda: len(page.of("observed")) >= 40, "all pictures")
    until(lambda: len(stack.engine.called("check.evaluate")) > before, "one evaluation")
    assert len(stack.engine.called("check.evaluate")) <= before + 2
    page.close()


def test_the_set_up_of_a_step_runs_once_in_a_lab(stack: Stack) -> None:
    """Not again in a second tab or after a reconnect, but again after a reset."""
    browser, page, lab = _at(stack)
    page.close()
    browser, page, _ = _at(stack)
    assert [args["script"] for args in stack.engine.called("lab.run")] == ["touch /tmp/ready\n"]
    browser.post(f"/api/labs/{lab}/reset", {"step": "one"})
    until(lambda: len(stack.engine.called("lab.run")) == 2, "the set-up of the fresh lab")
    page.close()


def test_a_set_up_that_fails_is_said_and_the_step_goes_on(stack: Stack) -> None:
    """With what the script said last, and what to do."""
    stack.engine.script_status = (1, b"first line\nmount: denied\n")
    _, page, _ = _at(stack)
    (trouble,) = page.wait_event("trouble")
    assert trouble["code"] == "setup_failed"
    assert "mount: denied" in trouble["detail"]
    assert page.of("checks")
    page.close()


def test_show_me_types_once_before_the_learners_eyes(stack: Stack) -> None:
    """In the terminal `show`, however often the button is pressed meanwhile."""
    browser, page, _ = _at(stack)
    assert page.ask("solve", {"step": "one", "key": "press-1"}) == {}
    page.wait_event("terminals", lambda told: [each["name"] for each in told["terminals"]] == ["show"])
    stream = page.attach("show")
    page.wait_text(stream, b"solved-42")
    page.ask("solve", {"step": "one", "key": "press-1"})
    page.tell("input", "show", b"echo last-$((1+1))\n")
    assert page.wait_text(stream, b"last-2").count(b"solved-42") == 1
    until(lambda: browser.get("/api/progress?lesson=try").json()["steps"]["one"]["shown"], "kept")
    page.close()


def test_a_reset_lab_begins_with_a_clean_list(stack: Stack) -> None:
    """Checks are open again, the old terminals are gone, the step stays done for good."""
    browser, page, lab = _at(stack)
    page.attach("lab")
    stack.engine.results.update(alpha=OK, beta=OK, gamma=OK)
    assert set(_states({"results": page.ask("check")["results"]}).values()) == {"done"}
    stack.engine.results.clear()
    browser.post(f"/api/labs/{lab}/reset", {"step": "one"})
    page.wait_event("terminals", lambda told: told == {"terminals": []})
    page.wait_event("checks", lambda told: set(_states(told).values()) == {"open"})
    stream = page.attach("lab")
    page.tell("input", "lab", b"echo fresh-$((1+1))\n")
    page.wait_text(stream, b"fresh-2")
    assert browser.get("/api/progress?lesson=try").json()["steps"]["one"]["done"] is True
    page.close()
