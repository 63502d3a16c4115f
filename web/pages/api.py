"""JSON over HTTP: labs and progress. Every call needs the cookie; every writing call the CSRF token.

What changes often or must be pushed goes over the websocket instead (`web/sockets/events.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from web import progress_file
from web.labs import OwnLab
from web.lesson_model import Lesson, Step
from web.pages.visitor import recognise, visitor
from web.services import services
from web.trouble import BadMessage

api = Blueprint("api", __name__, url_prefix="/api")
api.before_request(recognise)

Json = dict[str, Any]


def body() -> Mapping[str, Any]:
    """The JSON object that was sent.

    Raises:
        BadMessage: it is none.
    """
    try:
        sent = request.get_json()
    except (BadRequest, RecursionError):  # lists in lists in lists: no more than a bad message
        raise BadMessage("bad_message", what="JSON") from None
    if not isinstance(sent, dict):
        raise BadMessage("bad_message", what="JSON")
    return sent


def lesson_of(sent: Mapping[str, Any]) -> Lesson:
    """The lesson that is meant."""
    try:
        return services().catalogue.get(str(sent.get("lesson", "")))
    except KeyError:
        raise BadMessage("no_lesson") from None


def step_of(lesson: Lesson, sent: Mapping[str, Any]) -> Step:
    """The step that is meant."""
    try:
        return lesson.step(str(sent.get("step", "")))
    except KeyError:
        raise BadMessage("no_step") from None


# -- labs ------------------------------------------------------------------------------------------------------------


@api.get("/labs")
def labs() -> Json:
    """The learner's labs."""
    return {"labs": [shown(own) for own in services().labs.all(visitor().who.learner)]}


@api.post("/labs")
def begin_lab() -> Json:
    """The lab for a lesson, made if there is none."""
    return shown(services().labs.begin(visitor().who.learner, lesson_of(body())))


@api.post("/labs/<lab>/reset")
def reset_lab(lab: str) -> Json:
    """Begin afresh in it."""
    own = services().labs.reset(visitor().who.learner, lab)
    services().lab_began_afresh(own.lab, own.attempt)
    return shown(own)


@api.post("/labs/<lab>/<any(pause, resume, extend, remove):verb>")
def change_lab(lab: str, verb: str) -> Json:
    """Pause it, go on, give it time, end it."""
    here = services()
    verbs = {
        "pause": here.labs.pause,
        "resume": here.labs.resume,
        "extend": here.labs.extend,
        "remove": here.labs.remove,
    }
    own: OwnLab = verbs[verb](visitor().who.learner, lab)
    for page in here.pages.of_lab(lab):
        page.send("lab", own.as_json(here.words, page.lang))
    return shown(own)


def shown(own: OwnLab) -> Json:
    """A lab in the visitor's language."""
    return own.as_json(services().words, visitor().lang)


# -- progress --------------------------------------------------------------------------------------------------------


@api.get("/progress")
def progress() -> Json:
    """Everything known of a lesson."""
    return progress_of(lesson_of(request.args))


def progress_of(lesson: Lesson) -> Json:
    """Progress as the page gets it."""
    here, who = services(), visitor().who.learner
    current = here.progress.current_attempt(who, lesson.id)
    known = here.progress.of_lesson(who, lesson.id, current[0] if current else None)
    return {"lesson": lesson.id, "steps": {id: one.as_json() for id, one in known.items()}}


@api.post("/progress")
def record() -> Json:
    """Write down what happened in a step."""
    sent = body()
    lesson = lesson_of(sent)
    kind, value = sent.get("kind"), sent.get("value")
    here, who = services(), visitor().who.learner
    step_id, name, value = _result(lesson, sent, str(kind), value)
    try:
        here.progress.record(who, lesson.id, step_id, str(kind), name=name, value=value)
    except ValueError:
        raise BadMessage("bad_message", what="value") from None
    return {"progress": progress_of(lesson)}


def _result(lesson: Lesson, sent: Mapping[str, Any], kind: str, value: Any) -> tuple[str, str, Any]:
    """Step, name and value of what may be written; BadMessage for everything else."""
    if kind == "quiz":
        name, answer = _answer(value, {asked.id for asked in lesson.quiz})
        return "quiz", name, answer
    step = step_of(lesson, sent)
    match kind:
        case "step_done":
            raise BadMessage("not_by_hand")  # every step has checks, and the kernel says when they are true
        case "predicted":
            name, answer = _answer(value, {asked.id for asked in step.predictions})
            return step.id, name, answer
        case "hint" if isinstance(value, int) and 0 < value <= 20:
            return step.id, "", value
        case "shown":
            return step.id, "", None
    raise BadMessage("bad_message", what="kind")


def _answer(value: Any, known: set[str]) -> tuple[str, Any]:
    """{the question's id: the chosen option's}."""
    match value:
        case dict() if len(value) == 1 and set(value) <= known:
            return next(iter(value.items()))
    raise BadMessage("bad_message", what="value")


@api.get("/progress/file")
def progress_out() -> Response:
    """All of one's progress, to keep or to take along."""
    here = services()
    response: Response = jsonify(progress_file.export(here.progress, visitor().who.learner))
    name = f"hako-progress-{time.strftime('%Y-%m-%d')}.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


@api.post("/progress/file")
def progress_in() -> Json:
    """Add a file of before, or of another machine."""
    here = services()
    request.max_content_length = progress_file.BYTES  # every other body of ours is small
    return asdict(progress_file.take(here.progress, here.catalogue, visitor().who.learner, body()))


@api.get("/page-token")
def page_token() -> Json:
    """A new token for a page that has been open for long. Only our own pages can read the answer."""
    return {"token": services().signer.page_token(visitor().who.session)}
