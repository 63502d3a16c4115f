"""Runs the checks of the step each page has open: when something changed, at most once a second, and on demand.

"Something changed" is the engine's `lab.observed`, or the learner having pressed Enter (a command may change what no
observation shows). The evaluation asks the engine and may take long, so it runs on the worker pool; pages get the
result as a `checks` event when it differs from the last. A finished check is written down for the attempt, a finished
step for good; the database says which page was first, so `done` is told once, to all pages of the learner.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.client import CheckResult, Disconnected, EngineClient
from engine.errors import EngineError
from web import verdicts
from web.background import Background
from web.i18n import Translations
from web.lesson_model import Check, Step
from web.metrics import Metrics
from web.progress import Progress
from web.sockets.connections import Page, Pages, tell
from web.verdicts import Verdict

_log = structlog.get_logger(__name__)
#: Not more often than this per page.
EVERY_S = 1.0
#: After Enter a command needs a moment before its effect is there; look then, and once more later.
AFTER_ENTER_S = (0.3, 2.0)
#: How long the answer to "check now" may hold up its page: no keys pass meanwhile.
NOW_S = 2.0


@dataclass(eq=False)
class Watch:
    """What is known of one page's open step."""

    page: Page
    step: Step
    seen: set[str]
    #: When to evaluate next (monotonic), soonest first; empty: nothing changed.
    due: list[float] = field(default_factory=list)
    force: bool = False
    evaluated_at: float = float("-inf")
    running: bool = False
    last: list[dict[str, str]] = field(default_factory=list)
    #: Set at the end of each evaluation: somebody may wait for one.
    looked: threading.Event = field(default_factory=threading.Event)


class Checks:
    """See the module."""

    def __init__(
        self,
        engine: EngineClient,
        progress: Progress,
        words: Translations,
        pages: Pages,
        pool: Background,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._words = words
        self._pages = pages
        self._pool = pool
        self._metrics = metrics
        self._turn = threading.Condition()
        self._watches: dict[Page, Watch] = {}
        self._ended = False

    # -- what pages do ------------------------------------------------------------------------------------------------

    def open(self, page: Page, step: Step) -> None:
        """From now on the page's checks are those of `step`."""
        known = self._progress.of_lesson(page.who.learner, page.lesson.id if page.lesson else "", page.attempt)
        seen = set(known[step.id].checks) if step.id in known else set()
        with self._turn:
            self._watches[page] = Watch(page, step, seen, due=[0.0], force=True)
            self._turn.notify()

    def close(self, page: Page) -> None:
        """The page is gone or has no lab any more."""
        with self._turn:
            self._watches.pop(page, None)

    def on_demand(self, page: Page) -> None:
        """Evaluate as soon as the pace allows, and answer even if nothing changed."""
        with self._turn:
            watch = self._watches.get(page)
            if watch is not None:
                watch.force = True
                watch.due.append(0.0)
                self._turn.notify()

    def now(self, page: Page) -> list[dict[str, str]]:
        """Evaluate at once, even before the pace allows, and give the lines; the last ones known if that takes long."""
        with self._turn:
            watch = self._watches.get(page)
            if watch is None:
                return []
            watch.looked.clear()
            watch.force, watch.evaluated_at = True, float("-inf")
            watch.due.append(0.0)
            self._turn.notify()
        watch.looked.wait(NOW_S)
        return watch.last

    def entered(self, page: Page) -> None:
        """The learner pressed Enter."""
        now = time.monotonic()
        with self._turn:
            watch = self._watches.get(page)
            if watch is not None and len(watch.due) < 8:
                watch.due.extend(now + after for after in AFTER_ENTER_S)
                self._turn.notify()

    def lab_changed(self, lab: str) -> None:
        """The engine saw a change. Called on its reader thread: only marks."""
        with self._turn:
            for watch in self._watches.values():
                if watch.page.lab == lab and 0.0 not in watch.due:
                    watch.due.append(0.0)
            self._turn.notify()

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Hand what is due to the pool until `end()`; one thread of the process runs this."""
        while True:
            with self._turn:
                if self._ended:
                    return
                now = time.monotonic()
                ready = [watch for watch in self._watches.values() if self._is_due(watch, now)]
                if not ready:
                    self._turn.wait(self._pause(now))
                    continue
                for watch in ready:
                    watch.due = [at for at in watch.due if at > now]
                    watch.running, watch.evaluated_at = True, now
            for watch in ready:
                if not self._pool.submit(self._evaluate, watch):
                    self._finish(watch, again=True)

    def end(self) -> None:
        """Let `run()` return."""
        with self._turn:
            self._ended = True
            self._turn.notify()

    @staticmethod
    def _is_due(watch: Watch, now: float) -> bool:
        return bool(watch.due) and not watch.running and max(min(watch.due), watch.evaluated_at + EVERY_S) <= now

    def _pause(self, now: float) -> float | None:
        times = [max(min(w.due), w.evaluated_at + EVERY_S) for w in self._watches.values() if w.due and not w.running]
        return None if not times else max(0.01, min(times) - now)

    def _finish(self, watch: Watch, *, again: bool = False) -> None:
        with self._turn:
            watch.running = False
            watch.looked.set()
            if again:
                watch.due.append(time.monotonic() + EVERY_S)
            self._turn.notify()

    # -- one evaluation, on the pool ----------------------------------------------------------------------------------

    def _evaluate(self, watch: Watch) -> None:
        again = False
        try:
            if watch.page.gone or not watch.page.lab:
                return
            if not self._engine.connected:
                again = True  # asking would keep a thread of the pool waiting for it
                return
            lines = self.look(watch.page, watch.step, watch.seen)
            force, watch.force = watch.force, False
            shown = [line.as_json() for line in lines]
            if force or shown != watch.last:
                watch.last = shown
                watch.page.send("checks", {"step": watch.step.id, "results": shown})
            self._metrics.checks.labels("done" if verdicts.done_of(watch.step, watch.seen) else "open").inc()
        except Disconnected:
            again = True  # the engine is away; the page has been told
        finally:
            self._finish(watch, again=again)

    def look(self, page: Page, step: Step, seen: set[str]) -> list[Verdict]:
        """Evaluate a step now, write down what is new, and give its lines. Adds to `seen`.

        Raises:
            Disconnected: the engine is away.
        """
        left = [check for check in step.checks if check.id not in seen]
        results = self._results(page, step, left)
        lines = []
        for check in step.checks:
            result = results.get(check.id, [])
            if isinstance(result, EngineError):
                _log.warning("check_failed", lab=page.lab, step=step.id, check=check.id, reason=str(result))
                self._metrics.checks.labels("broken").inc()
                lines.append(verdicts.broken(self._words, page.lang, check, result.message))
                continue
            if verdicts.held(result):
                self._seen(page, step, check, seen)
            lines.append(verdicts.verdict(self._words, page.lang, check, result, done=check.id in seen))
        if verdicts.done_of(step, seen):
            self._step_done(page, step)
        return lines

    def _results(self, page: Page, step: Step, checks: list[Check]) -> dict[str, list[CheckResult] | EngineError]:
        """All at once, and one by one when that fails, so that one bad check does not hide the others."""
        if not checks:
            return {}
        answers = self._answers(page, step)
        try:
            results = self._engine.check_evaluate(page.lab, verdicts.flat(checks), answers)
            return dict(verdicts.split(checks, results))
        except Disconnected:
            raise
        except EngineError as error:
            if len(checks) == 1:
                return {checks[0].id: error}
        found: dict[str, list[CheckResult] | EngineError] = {}
        for check in checks:
            found.update(self._results(page, step, [check]))
        return found

    def _answers(self, page: Page, step: Step) -> dict[str, Any]:
        if page.lesson is None:
            return {}
        known = self._progress.of_lesson(page.who.learner, page.lesson.id, page.attempt).get(step.id)
        return verdicts.answers(known.as_json()) if known else {}

    def _seen(self, page: Page, step: Step, check: Check, seen: set[str]) -> None:
        seen.add(check.id)
        with self._turn:
            for watch in self._watches.values():  # other pages of the same learner need not see it for themselves
                if watch.step is step and watch.page.lab == page.lab and watch.page.attempt == page.attempt:
                    watch.seen.add(check.id)
        if page.lesson is not None:
            self._progress.record(
                page.who.learner, page.lesson.id, step.id, "check_done", name=check.id, in_attempt=page.attempt
            )

    def _step_done(self, page: Page, step: Step) -> None:
        lesson = page.lesson
        if lesson is None or not self._progress.record(page.who.learner, lesson.id, step.id, "step_done"):
            return
        _log.info("step_done", learner=page.who.learner, lesson=lesson.id, step=step.id, lab=page.lab)
        self._tell_done(page.who.learner, lesson.id, step, page.attempt)

    def _tell_done(self, learner: str, lesson_id: str, step: Step, attempt: int | None) -> None:
        """Tell every page this learner has of this lesson that a step is finished."""
        known = self._progress.of_lesson(learner, lesson_id, attempt).get(step.id)
        for page in self._pages.where(
            lambda page: page.who.learner == learner and page.lesson is not None and page.lesson.id == lesson_id
        ):
            tell(
                [page],
                "done",
                {
                    "step": step.id,
                    "learnt": step.learnt.get(page.lang, ""),
                    "progress": known.as_json() if known else {},
                },
            )
