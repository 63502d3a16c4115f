"""What a learner has done: written once, read whole. The only module that asks the database anything.

Everything is keyed by the learner's id; nobody's progress can be named by another. Values come from the page and are
bounded. Which kinds exist and what they mean:

    step_done    the step is finished, for good: once per learner and step
    check_done   a check was seen true in this attempt: once per attempt and check
    setup        the step's setup has run in this attempt
    predicted    an answer before the command was run; quiz: an answer afterwards. The last one counts.
    hint         how many hints were opened; shown: the learner asked to be shown
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from web.tables import attempt, enrolment, learner, step_result

VALUE_MAX = 2048
_ATTEMPT_KINDS = ("check_done", "setup")


@dataclass
class StepProgress:
    """One step as the learner left it. `checks` are those seen in the attempt asked for."""

    done: bool = False
    checks: set[str] = field(default_factory=set)
    predicted: dict[str, Any] = field(default_factory=dict)
    quiz: dict[str, Any] = field(default_factory=dict)
    hints: int = 0
    shown: bool = False
    setup: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return {
            "done": self.done,
            "checks": dict.fromkeys(sorted(self.checks), True),
            "predicted": self.predicted,
            "quiz": self.quiz,
            "hints": self.hints,
            "shown": self.shown,
        }


@dataclass(frozen=True)
class Overview:
    """One begun lesson, for the catalogue."""

    lesson: str
    step: str
    seen_at: float
    done: frozenset[str]


class Progress:
    """Reads and writes progress. Threads may share one.

    Args:
        engine: the database.
        clock: unix seconds.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        # Asked with every request, and it never changes. The lock: two first requests must not make one each.
        self._solo: str | None = None
        self._solo_lock = threading.Lock()

    def solo_learner(self) -> str:
        """The id of the one learner of this installation, made at the first call."""
        with self._solo_lock:
            if self._solo is None:
                self._solo = self._find_or_make_solo()
            return self._solo

    def _find_or_make_solo(self) -> str:
        oldest = select(learner.c.id).where(learner.c.kind == "solo").order_by(learner.c.created_at, learner.c.id)
        with self._engine.begin() as connection:
            found = connection.execute(oldest.limit(1)).scalar()
            if found is None:
                found = secrets.token_hex(8)
                row = {"id": found, "kind": "solo", "created_at": self._clock()}
                connection.execute(insert(learner).values(row))
        return str(found)

    def visit(self, who: str, lesson: str, step: str) -> None:
        """Remember where the learner is, for "go on where you were"."""
        now = self._clock()
        here = and_(enrolment.c.learner == who, enrolment.c.lesson == lesson)
        with self._engine.begin() as connection:
            if connection.execute(update(enrolment).where(here).values(seen_at=now, step=step)).rowcount:
                return
        try:
            with self._engine.begin() as connection:
                row = {"learner": who, "lesson": lesson, "started_at": now, "seen_at": now, "step": step}
                connection.execute(insert(enrolment).values(row))
        except IntegrityError:
            pass  # another page of the same learner was first with the same news

    def overview(self, who: str) -> dict[str, Overview]:
        """Every lesson begun, by id."""
        done: dict[str, set[str]] = {}
        with self._engine.connect() as connection:
            begun = connection.execute(select(enrolment).where(enrolment.c.learner == who)).all()
            finished = select(step_result.c.lesson, step_result.c.step).where(
                step_result.c.learner == who, step_result.c.kind == "step_done"
            )
            for lesson, step in connection.execute(finished):
                done.setdefault(lesson, set()).add(step)
        return {
            row.lesson: Overview(row.lesson, row.step, row.seen_at, frozenset(done.get(row.lesson, ())))
            for row in begun
        }

    def begin_attempt(self, who: str, lesson: str, lab: str) -> int:
        """From now on this learner does the lesson in this lab. A reset lab begins a new attempt under its old id."""
        row = {"learner": who, "lesson": lesson, "lab": lab, "started_at": self._clock()}
        with self._engine.begin() as connection:
            key = connection.execute(insert(attempt).values(row)).inserted_primary_key
        if key is None:
            raise RuntimeError("the database gave no key for a new attempt")
        return int(key[0])

    def current_attempt(self, who: str, lesson: str) -> tuple[int, str] | None:
        """The newest attempt and its lab."""
        query = select(attempt.c.id, attempt.c.lab).where(attempt.c.learner == who, attempt.c.lesson == lesson)
        return self._pair(query.order_by(attempt.c.id.desc()).limit(1))

    def lesson_of_lab(self, who: str, lab: str) -> str | None:
        """Which lesson this learner's lab belongs to; None for somebody else's lab."""
        query = select(attempt.c.lesson).where(attempt.c.learner == who, attempt.c.lab == lab)
        with self._engine.connect() as connection:
            return connection.execute(query.order_by(attempt.c.id.desc()).limit(1)).scalar()

    def _pair(self, query: Select[int, str]) -> tuple[int, str] | None:
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row[0], row[1])

    def record(
        self,
        who: str,
        lesson: str,
        step: str,
        kind: str,
        *,
        name: str = "",
        value: Any = None,
        in_attempt: int | None = None,
    ) -> bool:
        """Write down that something happened.

        Returns: False when it may happen once only and had happened before.
        Raises:
            ValueError: the value is not JSON or longer than `VALUE_MAX`.
        """
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if len(text) > VALUE_MAX:
            raise ValueError(f"a value of {len(text)} characters is longer than {VALUE_MAX}")
        row = {
            "learner": who, "lesson": lesson, "step": step, "kind": kind, "name": name, "value": text,
            "attempt": in_attempt, "created_at": self._clock(), "once": _once(who, lesson, step, kind, name,
            in_attempt), }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(step_result).values(row))
        except IntegrityError:
            return False
        return True

    def of_lesson(self, who: str, lesson: str, in_attempt: int | None = None) -> dict[str, StepProgress]:
        """Every step anything is known of, by id. Checks and setups count for the attempt given."""
        belongs: ColumnElement[bool] = step_result.c.kind.not_in(_ATTEMPT_KINDS)
        if in_attempt is not None:
            belongs = belongs | (step_result.c.attempt == in_attempt)
        query = (
            select(step_result.c.step, step_result.c.kind, step_result.c.name, step_result.c.value)
            .where(step_result.c.learner == who, step_result.c.lesson == lesson, belongs)
            .order_by(step_result.c.id)
        )
        steps: dict[str, StepProgress] = {}
        with self._engine.connect() as connection:
            for step, kind, name, value in connection.execute(query):
                _apply(steps.setdefault(step, StepProgress()), kind, name, json.loads(value))
        return steps

    def count(self) -> int:
        """How many results are kept; /readyz asks it to see that the database answers."""
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(learner)).scalar_one())


def _once(who: str, lesson: str, step: str, kind: str, name: str, in_attempt: int | None) -> str | None:
    if kind == "step_done":
        return f"{kind}/{who}/{lesson}/{step}"
    if kind in _ATTEMPT_KINDS:
        return f"{kind}/{in_attempt}/{step}/{name}"
    return None


def _apply(step: StepProgress, kind: str, name: str, value: Any) -> None:
    match kind:
        case "step_done":
            step.done = True
        case "check_done":
            step.checks.add(name)
        case "setup":
            step.setup = True
        case "predicted":
            step.predicted[name] = value
        case "quiz":
            step.quiz[name] = value
        case "hint":
            step.hints = max(step.hints, value if isinstance(value, int) else 1)
        case "shown":
            step.shown = True
