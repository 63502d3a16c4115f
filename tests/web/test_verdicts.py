"""From predicates' results to the lines a learner reads."""

from __future__ import annotations

from engine.client import CheckResult
from web import verdicts
from web.check_words import html, saw
from web.i18n import Translations
from web.lesson_model import Check
from web.paths import Paths
from web.settings import WebSettings

WORDS = Translations(Paths.of(WebSettings()).translations)


def _check(ident: str, *predicates: str, **tries: dict[str, str]) -> Check:
    return Check(ident, tuple({name: {"x": 1}} for name in predicates), {"ja": "", "en": ""}, tries)


def _result(ok: bool, code: str = "alpha.other", **params: object) -> CheckResult:
    return CheckResult(ok, code, dict(params))


def test_results_go_back_to_the_checks_they_came_from() -> None:
    """The engine looks once for all of them."""
    checks = [_check("a", "p", "q"), _check("b", "r")]
    assert verdicts.flat(checks) == [{"p": {"x": 1}}, {"q": {"x": 1}}, {"r": {"x": 1}}]
    results = [_result(True), _result(False), _result(True)]
    assert verdicts.split(checks, results) == {"a": results[:2], "b": results[2:]}


def test_a_check_is_done_only_when_all_its_predicates_hold() -> None:
    """At the same moment."""
    check = _check("a", "p", "q")
    assert verdicts.verdict(WORDS, "en", check, [_result(True), _result(True)], done=False).state == "done"
    assert verdicts.verdict(WORDS, "en", check, [_result(True), _result(False)], done=False).state == "other"


def test_what_was_seen_once_stays_done() -> None:
    """Leaving the shell a step asked for does not undo it."""
    assert verdicts.verdict(WORDS, "en", _check("a", "p"), [_result(False)], done=True).state == "done"


def test_nothing_there_and_something_else_are_told_apart() -> None:
    """`open` is not a reproach; `other` says what is wrong."""
    check = _check("a", "p")
    assert verdicts.verdict(WORDS, "en", check, [_result(False, "alpha.none")], done=False).state == "open"
    assert verdicts.verdict(WORDS, "en", check, [_result(False, "alpha.wrong")], done=False).state == "other"


def test_the_lessons_own_advice_wins() -> None:
    """It knows the step; the general sentence does not."""
    check = _check("a", "p", en={"broken": "<b>mine</b>"})
    line = verdicts.verdict(WORDS, "en", check, [_result(False, "broken", reason="x")], done=False)
    assert line.try_ == "<b>mine</b>"


def test_names_from_the_lab_cannot_become_html() -> None:
    """A learner chooses the host name that is shown."""
    shown = saw(WORDS, "en", "broken", {"reason": "<img src=x onerror=alert(1)>`</code>" + "\x1b[31m" + "y" * 200})
    assert "<img" not in shown
    assert "\x1b" not in shown
    assert "</code>" not in shown
    assert len(shown) < 300


def test_backticks_become_code() -> None:
    """The one mark-up a sentence may hold."""
    assert html("try `mount -t proc` & see") == "try <code>mount -t proc</code> &amp; see"


def test_an_unknown_code_is_shown_as_it_is() -> None:
    """Better a bare word than nothing."""
    assert saw(WORDS, "en", "no.such_code", {}) == "no.such_code"
