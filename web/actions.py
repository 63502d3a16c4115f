"""What a lesson does to a lab on the learner's behalf: the set-up of a step, and "show me".

A set-up is a script run beside the learner's processes, once per attempt and step. A solution is typed into a terminal
before the learner's eyes, once per press of the button however often the message arrives; both run on the worker pool.
What goes wrong is told to the page in place; the lesson goes on.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog

from engine.client import EngineClient
from engine.errors import EngineError, Failed
from web.checks import Checks
from web.lesson_model import Action, Step
from web.progress import Progress
from web.sockets.connections import Page
from web.terminal.relay import terminal_json
from web.trouble import Trouble

_log = structlog.get_logger(__name__)
SCRIPT_S = 20.0
_SIZE = (24, 80)


class Actions:
    """See the module."""

    def __init__(self, engine: EngineClient, progress: Progress, checks: Checks, trouble: Trouble) -> None:
        self._engine = engine
        self._progress = progress
        self._checks = checks
        self._trouble = trouble
        self._lock = threading.Lock()
        self._running: set[tuple[Any, ...]] = set()

    def open_step(self, page: Page, step: Step) -> None:
        """Set the step up if it was not, then watch its checks. Runs on the worker pool."""
        lesson = page.lesson
        if lesson is None or not page.lab:
            return
        try:
            self._engine.lab_touch(page.lab)  # who turns a page is there, even without typing
        except EngineError as error:
            _log.info("lab_not_touched", lab=page.lab, reason=str(error))
        try:
            self.set_up(page, step)
        except EngineError as error:
            self._trouble.tell(page, "setup_failed", detail=str(error))
        if page.step == step.id:  # else the learner has turned the page meanwhile
            self._checks.open(page, step)

    def set_up(self, page: Page, step: Step) -> None:
        """Run a step's set-up, if it has not run in this attempt.

        Raises:
            EngineError: the script failed, or the engine.
        """
        lesson = page.lesson
        if lesson is None:
            return
        known = self._progress.of_lesson(page.who.learner, lesson.id, page.attempt).get(step.id)
        if step.setup and not (known and known.setup) and self._claim("setup", page.lab, page.attempt, step.id):
            try:
                self.script(page.lab, step.setup)
                self._progress.record(page.who.learner, lesson.id, step.id, "setup", in_attempt=page.attempt)
            finally:
                self._release("setup", page.lab, page.attempt, step.id)

    def solve(self, page: Page, step: Step, key: str) -> None:
        """Show how it is done. A second press while the first is at work does nothing. Runs on the worker pool."""
        lesson = page.lesson
        if lesson is None or not page.lab or not self._claim("solve", page.lab, step.id):
            return
        try:
            self.act(page, step.solve, key)
            self._progress.record(page.who.learner, lesson.id, step.id, "shown")
            self._checks.entered(page)
        except EngineError as error:
            self._trouble.tell(page, "solve_failed", detail=str(error))
        finally:
            self._release("solve", page.lab, step.id)

    def act(self, page: Page, action: Action, key: str) -> None:
        """Do it in the page's lab: first the script, then what is typed, each text exactly once for this key.

        The page is told of each terminal before anything appears in it.

        Raises:
            EngineError: the script failed, or the engine.
        """
        if action.run:
            self.script(page.lab, action.run)
        for number, typed in enumerate(action.typed):
            terminal = self._engine.terminal_open(page.lab, typed.terminal, *_SIZE)
            page.send("terminals", {"terminals": [terminal_json(terminal)]})
            self._engine.terminal_type(terminal.terminal, typed.text.encode(), f"solve/{key}/{number}")

    def script(self, lab: str, script: str) -> None:
        """Run a script beside the learner's processes.

        Raises:
            Failed: its exit status was not 0.
        """
        done = self._engine.lab_script(lab, script, timeout_s=SCRIPT_S)
        if done.status != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["It said nothing."]
            raise Failed(f"A script of the lesson ended with status {done.status}: {said[0][:200]}", "Reset the lab.")

    def _claim(self, *what: Any) -> bool:
        with self._lock:
            if what in self._running:
                return False
            self._running.add(what)
            return True

    def _release(self, *what: Any) -> None:
        with self._lock:
            self._running.discard(what)
