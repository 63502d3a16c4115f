"""From results of predicates to lines of a check list: pure, no engine, no page.

A check is a list of predicates, all of which must hold at the same moment. Once seen done it stays done for the
attempt: a learner who leaves the shell that a step asked for has still done it. A check line is in one of four states:

    open     nothing of what was asked for is there yet
    other    something is there, but something else: the sentence says what and what to try
    done     all predicates held
    broken   the check itself could not be evaluated; the others go on
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.client import CheckResult
from web.check_words import advice, saw
from web.i18n import Translations
from web.lesson_model import Check, Step

#: Last words of result codes that mean "nothing there yet", and the engine's codes that do (predicates/codes.py).
NOTHING = frozenset(
    {"none", "missing", "absent", "not_yet", "unanswered"}
    | {"no_own_ns", "no_process", "cgroup_absent", "mount_nowhere", "ipc_nowhere", "not_kept", "answer_missing"}
)


@dataclass(frozen=True)
class Verdict:
    """One line. `saw` and `try_` are HTML in one language."""

    id: str
    state: str
    saw: str = ""
    try_: str = ""

    def as_json(self) -> dict[str, str]:
        """For the page."""
        return {"id": self.id, "state": self.state, "saw": self.saw, "try": self.try_}


def flat(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """The predicates of several checks in one list, so that the engine looks once for all of them."""
    return [{name: dict(args) for name, args in each.items()} for check in checks for each in check.predicates]


def split(checks: Sequence[Check], results: Sequence[CheckResult]) -> dict[str, list[CheckResult]]:
    """Give each check its results back."""
    found, at = {}, 0
    for check in checks:
        found[check.id] = list(results[at : at + len(check.predicates)])
        at += len(check.predicates)
    return found


def held(results: Sequence[CheckResult]) -> bool:
    """Whether a check is done; one without predicates never is."""
    return bool(results) and all(result.ok for result in results)


def verdict(words: Translations, lang: str, check: Check, results: Sequence[CheckResult], *, done: bool) -> Verdict:
    """The line of one check."""
    if done or held(results):
        return Verdict(check.id, "done")
    failing = next((result for result in results if not result.ok), None)
    if failing is None:
        return Verdict(check.id, "open")
    state = "open" if failing.code.rpartition(".")[2] in NOTHING else "other"
    if failing.code in ("error", "broken"):
        state = "broken"
    own = check.tries.get(lang, {})
    return Verdict(
        check.id,
        state,
        saw(words, lang, failing.code, failing.params),
        advice(words, lang, failing.code, failing.params, own),
    )


def broken(words: Translations, lang: str, check: Check, reason: str) -> Verdict:
    """The line of a check that could not be evaluated."""
    return Verdict(
        check.id,
        "broken",
        saw(words, lang, "broken", {"reason": reason}),
        advice(words, lang, "broken", {"reason": reason}),
    )


def done_of(step: Step, seen: Iterable[str]) -> bool:
    """Whether all of a step's checks have been seen."""
    return {check.id for check in step.checks} <= set(seen)


def answers(progress: Mapping[str, Any]) -> dict[str, Any]:
    """What the learner answered in this step, for predicates about answers."""
    return {**progress.get("predicted", {}), **progress.get("quiz", {})}
