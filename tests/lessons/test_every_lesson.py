"""Every lesson is a test, in real labs: its checks tell right from wrong, and its text does what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.client import EngineClient
from engine.linux.cgroups import Cgroups
from tests.lessons.conftest import ROOT
from tests.lessons.learner import Learner
from web import bounded, lesson_lint, lesson_predicates, lesson_trial, lessons, verdicts
from web.i18n import Translations
from web.lesson_lint import result_codes
from web.lesson_model import Action, Lesson, Step
from web.markup import MODES

CATALOGUE = lessons.load(ROOT / "lessons")
CATALOGUE.choose(Cgroups.detect().hierarchy.kind)
STEPS = [(lesson, step) for lesson in CATALOGUE.lessons for step in lesson.steps]
TRIALS = [(lesson, step, trial) for lesson, step in STEPS for trial in lesson_trial.trials(step)]

_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"‹[^›]+›")
#: Words of a ‹place› -> how one finds out what to write there.
PLACES = {"the shell in second": "echo $$", "PID of sleep": "pgrep -x sleep"}
_WHEN = re.compile(r"^:::when cgroup=(\S+)\n(.*?)^:::$", re.MULTILINE | re.DOTALL)


def _name(value: object) -> str:
    return str(getattr(value, "slug", getattr(value, "id", value)))


@pytest.mark.parametrize("lesson", CATALOGUE.lessons, ids=_name)
def test_lint_finds_nothing(lesson: Lesson) -> None:
    """Both languages are equal and nothing is forgotten."""
    codes = result_codes(Translations(ROOT / "web" / "translations"))
    errors = lesson_lint.lint(ROOT / "lessons" / lesson.slug, ROOT, codes, lesson_predicates.known(ROOT))
    assert [str(error) for error in errors] == []


def test_every_lesson_loads() -> None:
    """None is left out of the catalogue."""
    assert [str(error) for error in CATALOGUE.errors] == []
    assert CATALOGUE.lessons


@pytest.mark.root
@pytest.mark.parametrize(("lesson", "step", "trial"), TRIALS, ids=_name)
def test_checks_tell_right_from_wrong(client: EngineClient, lesson: Lesson, step: Step, trial: str) -> None:
    """Fresh lab: not yet; after the solution: yes; after a wrong action: its own result, and not yet."""
    assert lesson_trial.run(client, lesson, step, trial).problem == ""


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.parametrize(("lesson", "step"), STEPS, ids=_name)
def test_the_text_does_what_it_says(client: EngineClient, lesson: Lesson, step: Step) -> None:
    """All blocks of a step typed in order by one who reads: every check held once, every output shown was seen."""
    seen: set[str] = set()
    shown = ""
    with _lab(client, lesson) as lab, Learner(client, lab) as learner:
        assert lesson_trial.perform(client, lab, Action(run=step.setup), "setup") == ""
        for mode, terminal, text in _blocks(lesson, step):
            if mode == "output":
                for line in text.splitlines():
                    assert line in shown, f"the text promises {line!r}, the lab said {shown!r}"
                continue
            shown = ""
            for line in text.splitlines():
                shown += learner.type(terminal, _fill(line, learner))
                assert "command not found" not in shown
                seen |= _held(client, lab, step)
    assert seen == {check.id for check in step.checks}


def _held(client: EngineClient, lab: str, step: Step) -> set[str]:
    results = lesson_trial.results_of(client, lab, step.checks)
    return {check for check, result in results.items() if verdicts.held(result)}


def _fill(line: str, learner: Learner) -> str:
    """What a learner writes in the kinds of ‹place› the lessons have: a PID that the machine tells."""
    place = _PLACE.search(line)
    if place is None:
        return line
    ask = next(command for words, command in PLACES.items() if words in place[0])
    number = re.search(r"^(\d+)$", learner.type("second", ask), re.MULTILINE)
    assert number
    return _PLACE.sub(number[1], line)


def _blocks(lesson: Lesson, step: Step) -> Iterator[tuple[str, str, str]]:
    """(mode, terminal, text) of a step's blocks in English, in order; the lint has proved Japanese the same."""
    text = bounded.text(ROOT / "lessons" / lesson.slug / "en.md", "en.md")
    section = re.search(rf"^## [^\n]*{{#{re.escape(step.id)}}}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section
    ours = _WHEN.sub(lambda match: match[2] if match[1] == CATALOGUE.cgroup else "", section[1])
    for match in _BLOCK.finditer(ours):
        mode, _, terminal = match[1].partition(" ")
        if mode in MODES or mode == "output":
            yield mode, terminal or "lab", match[2]


@contextmanager
def _lab(client: EngineClient, lesson: Lesson) -> Iterator[str]:
    lab = client.lab_create("lesson-text", dict(lesson.lab)).id
    try:
        yield lab
    finally:
        client.lab_remove(lab)
