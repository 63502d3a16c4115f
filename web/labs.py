"""A learner's labs: one per lesson, found again, made, reset, and nobody else's.

The engine knows labs and owners; the database knows for which lesson a lab was made (an attempt). This module joins the
two and refuses every lab whose owner is not the learner who asks. It draws nothing and keeps nothing in memory but a
lock per learner and lesson, so that two tabs opened at once do not make two labs.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import structlog

from engine.client import EngineClient, Lab
from engine.errors import NotFound
from web.i18n import Translations
from web.lesson_model import Lesson
from web.progress import Progress

_log = structlog.get_logger(__name__)
#: What one press of "more time" gives; the engine keeps its own upper bound.
EXTEND_S = 3600


@dataclass(frozen=True)
class OwnLab:
    """A lab and the attempt it serves."""

    lab: Lab
    attempt: int | None
    lesson: str

    def as_json(self, words: Translations, lang: str) -> dict[str, Any]:
        """For the page; see `lab_json`."""
        return lab_json(words, lang, self.lab, self.attempt, self.lesson)


def lab_json(words: Translations, lang: str, lab: Lab, attempt: int | None, lesson: str) -> dict[str, Any]:
    """How pages see a lab: without its owner, the reason in words. A new attempt means a fresh lab."""
    key = f"lab.reason.{lab.reason.replace(' ', '_')}"
    reason = words.t(lang, key if words.has(lang, key) else "lab.reason.other", reason=lab.reason) if lab.reason else ""
    return {
        "id": lab.id,
        "lesson": lesson,
        "attempt": attempt,
        "state": lab.state,
        "reason": reason,
        "created_at": lab.created_at,
        "idle_ends_at": lab.idle_ends_at,
        "ends_at": lab.ends_at,
        "progress": lab.progress,
        "limits": lab.limits,
    }


class LearnerLabs:
    """See the module. Every method raises EngineError as the engine does; NotFound also for another learner's lab."""

    def __init__(self, engine: EngineClient, progress: Progress) -> None:
        self._engine = engine
        self._progress = progress
        self._lock = threading.Lock()
        self._making: dict[tuple[str, str], threading.Lock] = {}

    def living(self, learner: str, lesson: str) -> OwnLab | None:
        """The lab this learner has for this lesson, unless it has ended."""
        current = self._progress.current_attempt(learner, lesson)
        if current is None:
            return None
        attempt, lab_id = current
        try:
            lab = self._engine.lab_get(lab_id)
        except NotFound:
            return None  # ended, and forgotten by the engine
        if lab.state == "ended" or lab.owner != learner:
            return None
        return OwnLab(lab, attempt, lesson)

    def begin(self, learner: str, lesson: Lesson) -> OwnLab:
        """The living lab, or a new one. Waits until it is ready."""
        with self._lock_of(learner, lesson.id):
            found = self.living(learner, lesson.id)
            if found is not None:
                return found
            lab = self._engine.lab_create(learner, {**lesson.lab, "lesson": lesson.id})
            attempt = self._progress.begin_attempt(learner, lesson.id, lab.id)
            _log.info("lab_created", lab=lab.id, learner=learner, lesson=lesson.id)
            return OwnLab(lab, attempt, lesson.id)

    def own(self, learner: str, lab_id: str) -> OwnLab:
        """This lab, if it is this learner's.

        Raises:
            NotFound: it is not there, or somebody else's: the two cannot be told apart from outside.
        """
        try:
            lab = self._engine.lab_get(lab_id)
        except NotFound:
            lab = None
        if lab is None or lab.owner != learner:
            raise NotFound("There is no such lab.", "Open the lesson again: it makes a new one.")
        return self._with_lesson(learner, lab)

    def all(self, learner: str) -> list[OwnLab]:
        """Every lab of this learner that the engine knows."""
        return [self._with_lesson(learner, lab) for lab in self._engine.lab_list(learner) if lab.owner == learner]

    def _with_lesson(self, learner: str, lab: Lab) -> OwnLab:
        """The lab with what the database knows of it; a lab it has forgotten can still be ended."""
        lesson = self._progress.lesson_of_lab(learner, lab.id) or ""
        current = self._progress.current_attempt(learner, lesson)
        return OwnLab(lab, current[0] if current and current[1] == lab.id else None, lesson)

    def reset(self, learner: str, lab_id: str) -> OwnLab:
        """Throw everything in it away and begin a new attempt in it."""
        own = self.own(learner, lab_id)
        if own.attempt is None:
            raise NotFound("This lab belongs to no lesson any more.", "Open the lesson again: it makes a new one.")
        with self._lock_of(learner, own.lesson):
            lab = self._engine.lab_reset(lab_id)
            attempt = self._progress.begin_attempt(learner, own.lesson, lab.id)
        _log.info("lab_reset", lab=lab.id, learner=learner, lesson=own.lesson)
        return OwnLab(lab, attempt, own.lesson)

    def pause(self, learner: str, lab_id: str) -> OwnLab:
        """Freeze it."""
        own = self.own(learner, lab_id)
        return OwnLab(self._engine.lab_pause(lab_id), own.attempt, own.lesson)

    def resume(self, learner: str, lab_id: str) -> OwnLab:
        """Thaw it."""
        own = self.own(learner, lab_id)
        return OwnLab(self._engine.lab_resume(lab_id), own.attempt, own.lesson)

    def extend(self, learner: str, lab_id: str) -> OwnLab:
        """Give it more time, as far as the engine allows, and put the idle clock back."""
        own = self.own(learner, lab_id)
        self._engine.lab_touch(lab_id)
        return OwnLab(self._engine.lab_extend(lab_id, EXTEND_S), own.attempt, own.lesson)

    def remove(self, learner: str, lab_id: str) -> OwnLab:
        """End it."""
        own = self.own(learner, lab_id)
        self._engine.lab_remove(lab_id)
        _log.info("lab_removed", lab=lab_id, learner=learner, lesson=own.lesson)
        return OwnLab(Lab(lab_id, learner, "ended"), own.attempt, own.lesson)

    def _lock_of(self, learner: str, lesson: str) -> threading.Lock:
        with self._lock:
            return self._making.setdefault((learner, lesson), threading.Lock())
