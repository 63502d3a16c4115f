"""Lessons as templates see them: in one language, with the learner's progress filled in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from web.lesson_model import Lesson, Prediction, Step
from web.progress import Overview, StepProgress


@dataclass(frozen=True)
class LessonRow:
    """A line of the catalogue."""

    number: int
    slug: str
    id: str
    title: str
    question: str
    minutes: int
    state: str
    done: int
    total: int
    cannot: str


def row(lesson: Lesson, lang: str, overview: Overview | None, cannot: str) -> LessonRow:
    """A lesson for the catalogue. `cannot`: why this machine cannot do it; empty when it can."""
    steps = {step.id for step in lesson.steps}
    done = len(steps & overview.done) if overview else 0
    state = "new" if overview is None else "done" if done == len(steps) else "started"
    return LessonRow(
        lesson.number, lesson.slug, lesson.id, lesson.title[lang], lesson.question[lang], lesson.minutes,
        state, done, len(steps), cannot,
    )  # fmt: skip


def missing(lesson: Lesson, namespaces: list[str] | None) -> list[str]:
    """Kinds of namespace the lesson needs and this kernel has not; empty when the engine is away and cannot say."""
    return [] if namespaces is None else [kind for kind in lesson.kernel if kind not in namespaces]


def prediction(asked: Prediction, lang: str) -> dict[str, Any]:
    """A question with its options; `question`, `text` and `why` are HTML."""
    return {
        "id": asked.id,
        "question": Markup(asked.question[lang]),
        "options": [
            {"id": option.id, "right": option.right, "text": Markup(option.text[lang]), "why": Markup(option.why[lang])}
            for option in asked.options
        ],
    }


def step(it: Step, number: int, lang: str, progress: StepProgress | None) -> dict[str, Any]:
    """A step for the lesson page."""
    known = progress or StepProgress()
    return {
        "id": it.id,
        "number": number,
        "title": it.title[lang],
        "html": Markup(it.html[lang]),
        "parts": [{"kind": part.kind, "html": Markup(part.html), "ref": part.ref} for part in it.parts[lang]],
        "state": "done" if known.done else "open",
        "checks": [
            {
                "id": check.id,
                "goal": Markup(check.goal[lang]),
                "state": "done" if check.id in known.checks else "open",
            }
            for check in it.checks
        ],
        "learnt": Markup(it.learnt.get(lang, "")),
        "hints": [Markup(hint) for hint in it.hints[lang]],
        "hints_opened": known.hints,
        "predictions": [prediction(asked, lang) for asked in it.predictions],
        "predicted": known.predicted,
        "solve": bool(it.solve.run or it.solve.typed),
        "setup": bool(it.setup),
        "terminals": list(it.terminals) or ["lab"],
        "view": it.view,
        "notes": Markup(it.notes.get(lang, "")),
        "blocks": [asdict(block) for block in it.blocks[lang]],
    }


def step_boot(view: Mapping[str, Any]) -> dict[str, Any]:
    """The same for scripts: without the text, which stands in the page already."""
    left_out = ("html", "parts", "notes", "hints", "learnt", "predictions")
    slim = {key: value for key, value in view.items() if key not in left_out}
    slim["hints"] = len(view["hints"])
    slim["predictions"] = [
        {"id": asked["id"], "right": [option["id"] for option in asked["options"] if option["right"]]}
        for asked in view["predictions"]
    ]
    return slim


def resume(lessons: list[Lesson], overviews: Mapping[str, Overview], lang: str) -> dict[str, Any] | None:
    """Where to go on: the lesson seen last that is not finished."""
    by_id = {lesson.id: lesson for lesson in lessons}
    begun = sorted((one for one in overviews.values() if one.lesson in by_id), key=lambda one: -one.seen_at)
    for overview in begun:
        lesson = by_id[overview.lesson]
        left = [one for one in lesson.steps if one.id not in overview.done]
        if left:
            at = next((one for one in lesson.steps if one.id == overview.step), left[0])
            at = left[0] if at.id in overview.done else at
            return {
                "number": lesson.number,
                "slug": lesson.slug,
                "title": lesson.title[lang],
                "step": at.id,
                "step_title": at.title[lang],
            }
    return None
