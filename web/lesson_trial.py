"""Every lesson is a test: tries the steps of one in real labs, through the engine's client and nothing else.

For each step, in a fresh lab: its checks do not hold; the solution is done; every check holds within a deadline. For
each wrong action, in a fresh lab: it is done; its check fails with the code that was said, and goes on failing. The
same code runs under `hako lesson test` and under pytest. What a trial finds is an `Outcome`; it raises only when the
engine itself fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.client import CheckResult, EngineClient
from engine.errors import Failed
from web import verdicts
from web.lesson_model import Action, Check, Lesson, Step, Wrong

OWNER = "lesson-test"
SIZE = (24, 80)
DEADLINE_S = 60.0  # far above what it takes: reached only where something is wrong, or each instruction is emulated
POLL_S = 0.1
STAYS_S = 1.0
"""A wrong action's check is watched this much longer: it must not come to hold by itself."""


@dataclass(frozen=True)
class Outcome:
    """What became of one trial. `problem` is empty when all was as it should be."""

    lesson: str
    step: str
    trial: str
    problem: str
    seconds: float


def trials(step: Step) -> list[str]:
    """The names of a step's trials: "solve", and one for each wrong action."""
    return ["solve", *(f"wrong:{wrong.id}" for wrong in step.wrong)]


def run(engine: EngineClient, lesson: Lesson, step: Step, trial: str) -> Outcome:
    """One trial in a lab of its own, which is gone afterwards.

    Args:
        trial: one of `trials(step)`.

    Raises:
        EngineError: no lab could be made, or a call failed.
        KeyError: no such trial.
    """
    began = time.monotonic()
    with _lab(engine, lesson) as lab:
        if step.setup:
            perform(engine, lab, Action(run=step.setup), "setup")
        if trial == "solve":
            problem = _solve(engine, lab, step)
        else:
            wrong = next((one for one in step.wrong if f"wrong:{one.id}" == trial), None)
            if wrong is None:
                raise KeyError(trial)
            problem = _wrong(engine, lab, step, wrong)
    return Outcome(lesson.slug, step.id, trial, problem, time.monotonic() - began)


def perform(engine: EngineClient, lab: str, action: Action, key: str) -> str:
    """Do an action as the page does it. Returns what went wrong with its script, or ""."""
    if action.run:
        done = engine.lab_script(lab, action.run)
        if done.status != 0:
            return f"its script ended with {done.status}: {done.stderr.decode(errors='replace')[-300:]}"
    for number, typed in enumerate(action.typed):
        terminal = engine.terminal_open(lab, typed.terminal, *SIZE).terminal
        engine.terminal_type(terminal, typed.text.encode(), f"{key}/{number}")
    return ""


@contextmanager
def _lab(engine: EngineClient, lesson: Lesson) -> Iterator[str]:
    lab = engine.lab_create(OWNER, dict(lesson.lab)).id
    try:
        yield lab
    finally:
        engine.lab_remove(lab)


def results_of(engine: EngineClient, lab: str, checks: Sequence[Check]) -> dict[str, list[CheckResult]]:
    """What the kernel says to some checks now, by their ids.

    Asked again, as the page does too, for as long as the machine is too busy to look at the lab in time.

    Raises:
        EngineError: it could not be looked at before the deadline.
    """
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return verdicts.split(checks, engine.check_evaluate(lab, verdicts.flat(checks)))
        except Failed:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)


def _solve(engine: EngineClient, lab: str, step: Step) -> str:
    before = [check for check, seen in results_of(engine, lab, step.checks).items() if verdicts.held(seen)]
    if before:
        return f"in a fresh lab these checks hold already: {', '.join(before)}"
    problem = perform(engine, lab, step.solve, "solve")
    if problem:
        return problem
    deadline = time.monotonic() + DEADLINE_S
    while True:
        results = results_of(engine, lab, step.checks)
        left = {check: seen for check, seen in results.items() if not verdicts.held(seen)}
        if not left:
            return ""
        if time.monotonic() > deadline:
            return f"after the solution {DEADLINE_S:.0f} s later: " + "; ".join(
                f"{c}: {_said(s)}" for c, s in left.items()
            )
        time.sleep(POLL_S)


def _wrong(engine: EngineClient, lab: str, step: Step, wrong: Wrong) -> str:
    problem = perform(engine, lab, wrong.action, "wrong")
    if problem:
        return problem
    check = step.check(wrong.check)
    deadline = time.monotonic() + DEADLINE_S
    since = float("inf")
    while True:
        results = results_of(engine, lab, [check])[check.id]
        now = time.monotonic()
        if verdicts.held(results):
            return f"the check {check.id} holds after a wrong action"
        seen = next(result.code for result in results if not result.ok)
        since = min(since, now) if seen == wrong.code else float("inf")
        if now - since >= STAYS_S:
            return ""
        if now > deadline:
            return f"expected {wrong.code} of the check {check.id}, saw {_said(results)}"
        time.sleep(POLL_S)


def _said(results: Sequence[CheckResult]) -> str:
    return ", ".join(f"{result.code} {result.params}" for result in results if not result.ok)
