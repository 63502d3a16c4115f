"""Progress as a file that a learner takes along: out of one Hako, into another.

    {"hako": "progress", "version": 1, "saved_at": 1700000000,
     "lessons": {"namespaces": {"step": "uts", "steps": {"uts": {"done": true, "predicted": {"who": "a"}, …}}}}}

A file is read as somebody's, not as ours: every part is bounded and checked, what these lessons do not have is counted
and left out, and what was done here already stands. A step that comes from a file is written down as from a file: the
kernel of this machine has not seen it. What belongs to a lab (checks seen, set-ups) is in no file.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from web.lesson_model import Catalogue, Lesson
from web.progress import Overview, Progress, StepProgress
from web.trouble import BadMessage

VERSION = 1
BYTES = 256 * 1024
QUIZ = "quiz"
"""The step under which answers of the quiz are kept: it belongs to no step."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Answers = Annotated[dict[Name, Name], Field(max_length=40)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class StepEntry(_Part):
    """One step."""

    done: bool = False
    shown: bool = False
    hints: int = Field(0, ge=0, le=20)
    predicted: Answers = Field(default_factory=dict)
    quiz: Answers = Field(default_factory=dict)


class LessonEntry(_Part):
    """One lesson; `step` is where the learner was."""

    step: Name
    steps: dict[Name, StepEntry] = Field(default_factory=dict, max_length=60)


class File(_Part):
    """The whole file. Lessons stand in the order in which they were last open."""

    hako: Literal["progress"]
    version: Literal[1]
    saved_at: float = 0
    lessons: dict[Name, LessonEntry] = Field(default_factory=dict, max_length=200)


@dataclass
class Taken:
    """What came of a file: lessons and finished steps that are known here, and how many names are not."""

    lessons: int = 0
    steps: int = 0
    unknown: int = 0


def export(progress: Progress, who: str) -> dict[str, Any]:
    """Everything this learner has done that does not belong to a lab."""
    begun = sorted(progress.overview(who).values(), key=lambda one: one.seen_at)
    lessons = {one.lesson: _lesson_out(one, progress.of_lesson(who, one.lesson)) for one in begun}
    return {"hako": "progress", "version": VERSION, "saved_at": int(time.time()), "lessons": lessons}


def _lesson_out(overview: Overview, steps: Mapping[str, StepProgress]) -> dict[str, Any]:
    told = {}
    for name, step in steps.items():
        entry = {key: value for key, value in step.as_json().items() if value and key != "checks"}
        if entry:
            told[name] = entry
    return {"step": overview.step, "steps": told}


def take(progress: Progress, catalogue: Catalogue, who: str, sent: Any) -> Taken:
    """Add what a file says to what is known here.

    Raises:
        BadMessage: it is no such file; nothing of it was taken.
    """
    try:
        file = File.model_validate(sent)
    except ValidationError:
        raise BadMessage("not_progress") from None
    taken = Taken()
    for name, entry in file.lessons.items():
        try:
            lesson = catalogue.get(name)
        except KeyError:
            taken.unknown += 1
            continue
        _take_lesson(progress, who, lesson, entry, taken)
    return taken


def _take_lesson(progress: Progress, who: str, lesson: Lesson, entry: LessonEntry, taken: Taken) -> None:
    known = progress.of_lesson(who, lesson.id)
    asked = {step.id: {one.id: {o.id for o in one.options} for one in step.predictions} for step in lesson.steps}
    if lesson.id not in progress.overview(who):
        progress.visit(who, lesson.id, entry.step if entry.step in asked else lesson.steps[0].id)
    taken.lessons += 1
    quiz = {one.id: {option.id for option in one.options} for one in lesson.quiz}
    for name, step in entry.steps.items():
        here = known.get(name, StepProgress())
        if name == QUIZ:
            _answers(progress, (who, lesson.id, name, "quiz"), step.quiz, here.quiz, quiz)
        elif name in asked:
            _take_step(progress, who, lesson.id, name, step, here, taken)
            _answers(progress, (who, lesson.id, name, "predicted"), step.predicted, here.predicted, asked[name])
        else:
            taken.unknown += 1


def _take_step(
    progress: Progress, who: str, lesson: str, name: str, step: StepEntry, here: StepProgress, taken: Taken
) -> None:
    if step.done and progress.record(who, lesson, name, "step_done", value={"from": "file"}):
        taken.steps += 1
    if step.hints > here.hints:
        progress.record(who, lesson, name, "hint", value=step.hints)
    if step.shown and not here.shown:
        progress.record(who, lesson, name, "shown")


def _answers(
    progress: Progress,
    where: tuple[str, str, str, str],
    sent: Mapping[str, str],
    here: Mapping[str, Any],
    known: Mapping[str, set[str]],
) -> None:
    """Answers to questions there are, by options they have, that were not answered here."""
    who, lesson, step, kind = where
    for question, option in sent.items():
        if question not in here and option in known.get(question, ()):
            progress.record(who, lesson, step, kind, name=question, value=option)
