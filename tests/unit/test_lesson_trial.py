"""A trial says what is wrong with a lesson: on an engine of three lines, so that each verdict can be brought about."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.client import CheckResult, EngineClient
from engine.errors import Failed
from web import lesson_trial
from web.lesson_model import Action, Check, Lesson, Step, Typed, Wrong

OK = CheckResult(True)
NOT_YET = CheckResult(False, "no_own_ns", {"kinds": ["uts"]})
RENAMED = CheckResult(False, "lab_renamed", {})


class FakeEngine:
    """Answers checks by what was done to the lab so far: a list of scripts run and texts typed."""

    def __init__(self, answer: Callable[[list[str]], CheckResult], status: int = 0) -> None:
        self.answer, self.status = answer, status
        self.done: list[str] = []
        self.labs: list[str] = []

    def lab_create(self, owner: str, shape: dict[str, Any]) -> Any:
        self.labs.append("made")
        return SimpleNamespace(id="l1")

    def lab_remove(self, lab: str) -> None:
        self.labs.append("removed")

    def lab_script(self, lab: str, script: str) -> Any:
        self.done.append(script)
        return SimpleNamespace(status=self.status, stderr=b"it broke", stdout=b"")

    def terminal_open(self, lab: str, name: str, rows: int, cols: int) -> Any:
        return SimpleNamespace(terminal=name)

    def terminal_type(self, terminal: str, data: bytes, key: str) -> bool:
        self.done.append(f"{terminal}:{data.decode()}")
        return True

    def check_evaluate(self, lab: str, predicates: list[dict[str, Any]]) -> list[CheckResult]:
        return [self.answer(self.done) for _ in predicates]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that a test can wait for."""
    monkeypatch.setattr(lesson_trial, "DEADLINE_S", 0.2)
    monkeypatch.setattr(lesson_trial, "STAYS_S", 0.05)
    monkeypatch.setattr(lesson_trial, "POLL_S", 0.01)


def _trial(engine: FakeEngine, trial: str, setup: str = "") -> str:
    check = Check("named", ({"hostname": {"name": "box"}},), {})
    wrong = Wrong("outside", Action(typed=(Typed("show", "bad\n"),)), "named", "lab_renamed")
    words = {"ja": "", "en": ""}
    step = Step(
        id="one",
        title=words,
        html=words,
        parts={},
        checks=(check,),
        predictions=(),
        hints={},
        learnt=words,
        notes=words,
        setup=setup,
        solve=Action(run="prepare", typed=(Typed("show", "good\n"),)),
        wrong=(wrong,),
        terminals=("lab",),
        view="namespaces",
        blocks={},
    )
    lesson = cast(Lesson, SimpleNamespace(slug="01-x", lab={}))
    outcome = lesson_trial.run(cast(EngineClient, engine), lesson, step, trial)
    assert engine.labs == ["made", "removed"]
    return outcome.problem


def test_a_sound_step() -> None:
    """Set-up, then not yet, then script and typing in order, then done."""
    engine = FakeEngine(lambda done: OK if "show:good\n" in done else NOT_YET)
    assert _trial(engine, "solve", setup="first") == ""
    assert engine.done == ["first", "prepare", "show:good\n"]


@pytest.mark.parametrize(
    ("answer", "status", "trial", "said"),
    [
        (lambda done: OK, 0, "solve", "hold already: named"),
        (lambda done: NOT_YET, 0, "solve", "named: no_own_ns {'kinds': ['uts']}"),
        (lambda done: NOT_YET, 3, "solve", "script ended with 3: it broke"),
        (lambda done: OK, 0, "wrong:outside", "holds after a wrong action"),
        (lambda done: NOT_YET, 0, "wrong:outside", "expected lab_renamed of the check named, saw no_own_ns"),
    ],
)
def test_an_unsound_step(answer: Callable[[list[str]], CheckResult], status: int, trial: str, said: str) -> None:
    """Each way of being wrong has its sentence, and the lab is gone all the same."""
    assert said in _trial(FakeEngine(answer, status), trial)


def test_a_wrong_action_with_its_own_result() -> None:
    """It must stay so for a while, not only flash by."""
    looks: list[int] = []

    def answer(done: list[str]) -> CheckResult:
        looks.append(1)
        return RENAMED if "show:bad\n" in done and len(looks) != 3 else NOT_YET

    assert _trial(FakeEngine(answer), "wrong:outside") == ""
    assert len(looks) > 5


def test_an_unknown_trial() -> None:
    """A name nobody gave is a mistake of the caller's."""
    with pytest.raises(KeyError):
        _trial(FakeEngine(lambda done: OK), "wrong:none")


def test_a_lab_too_busy_to_be_looked_at_is_looked_at_again() -> None:
    """Until the deadline: then what the engine said is raised."""
    tries: list[int] = []

    def busy(times: int) -> Callable[[list[str]], CheckResult]:
        def answer(done: list[str]) -> CheckResult:
            tries.append(1)
            if len(tries) <= times:
                raise Failed("Looking at lab l1 took more than 2.0 s.", "Reset the lab.")
            return OK if "show:good\n" in done else NOT_YET

        return answer

    assert _trial(FakeEngine(busy(3)), "solve") == ""
    assert len(tries) > 3
    with pytest.raises(Failed, match="more than 2"):
        _trial(FakeEngine(busy(10_000)), "solve")
