"""Brings a learner to a step: does the steps before it, one after the other, as "show me" would.

For who comes late, or comes back to a lab that is gone. Each step is set up, its solution is typed in the terminal of
the solutions, and the next one begins when the kernel agrees; what was done already in this lab is left as it is. Every
step gets a fresh shell, as its solution expects: what the one before left running there ends with it. A step whose
checks do not come to hold within `STEP_S` ends the journey there, and the page says so. Jobs run on a pool of their
own, because they take seconds and must not hold up the checks of others. This module knows no predicates and types
nothing itself.
"""

from __future__ import annotations

import threading
import time

import structlog

from engine.client import EngineClient
from engine.errors import EngineError
from web import verdicts
from web.actions import Actions
from web.background import Background
from web.checks import Checks
from web.lesson_model import Lesson, Step
from web.progress import Progress
from web.sockets.connections import Page
from web.trouble import BadMessage, Trouble

_log = structlog.get_logger(__name__)
#: As long as `hako lesson test` gives a solution, and a little for a machine with a class on it.
STEP_S = 25.0
POLL_S = 0.25
SHOW = "show"
"""The terminal of the solutions: nobody's own work is in it."""


class Bringing:
    """See the module."""

    def __init__(
        self, engine: EngineClient, progress: Progress, checks: Checks, actions: Actions, trouble: Trouble
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._checks = checks
        self._actions = actions
        self._trouble = trouble
        self._pool = Background(threads=4, waiting=64)
        self._lock = threading.Lock()
        self._under_way: dict[str, Page] = {}
        self._ended = threading.Event()

    def begin(self, page: Page, step: Step, key: str) -> None:
        """Start the journey to `step`; a second wish of the same page does nothing while one is under way.

        Raises:
            BadMessage: no lab is open, another page is at it in this lab, or too many are under way.
        """
        lesson, lab = page.lesson, page.lab
        if lesson is None or not lab:
            raise BadMessage("no_lab")
        with self._lock:
            if self._under_way.get(lab) is page:
                return
            if lab in self._under_way:
                raise BadMessage("busy")
            self._under_way[lab] = page
        if not self._pool.submit(self._journey, page, lesson, lab, step, key):
            self._arrived(lab)
            raise BadMessage("busy")

    def close(self) -> None:
        """End what is under way at its next look."""
        self._ended.set()
        self._pool.close()

    def _arrived(self, lab: str) -> None:
        with self._lock:
            self._under_way.pop(lab, None)

    def _journey(self, page: Page, lesson: Lesson, lab: str, target: Step, key: str) -> None:
        before = lesson.steps[: lesson.steps.index(target)]
        reached = target.id
        try:
            for number, step in enumerate(before, 1):
                page.send("bringing", {"step": step.id, "target": target.id, "at": number, "of": len(before)})
                if not self._do(page, lesson, lab, step, f"{key}/{step.id}"):
                    reached = step.id
                    break
        except EngineError as error:
            reached = step.id
            self._trouble.tell(page, "solve_failed", detail=str(error))
        finally:
            self._arrived(lab)
            page.send("brought", {"step": reached, "target": target.id, "ok": reached == target.id})

    def _do(self, page: Page, lesson: Lesson, lab: str, step: Step, key: str) -> bool:
        """One step, until the kernel agrees. False when it does not in time, or the learner has gone."""
        known = self._progress.of_lesson(page.who.learner, lesson.id, page.attempt).get(step.id)
        seen = set(known.checks) if known else set()
        if verdicts.done_of(step, seen):
            return True
        if self._gone(page, lab):
            return False
        self._actions.set_up(page, step)
        self._fresh_shell(lab)
        self._actions.act(page, step.solve, key)
        self._progress.record(page.who.learner, lesson.id, step.id, "shown")
        end = time.monotonic() + STEP_S
        while time.monotonic() < end:
            self._checks.look(page, step, seen)
            if verdicts.done_of(step, seen):
                return True
            if self._ended.wait(POLL_S) or self._gone(page, lab):
                return False
        _log.warning("step_not_reached", lesson=lesson.id, step=step.id, lab=lab)
        self._trouble.tell(page, "bring_stuck", title=step.title[page.lang])
        return False

    @staticmethod
    def _gone(page: Page, lab: str) -> bool:
        """Nobody is there to see it, or another lab is open now."""
        return page.gone or page.lab != lab

    def _fresh_shell(self, lab: str) -> None:
        for terminal in self._engine.terminal_list(lab):
            if terminal.name == SHOW:
                self._engine.terminal_close(terminal.terminal)
