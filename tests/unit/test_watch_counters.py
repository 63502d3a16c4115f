"""What watchers are told of counters and of the last plan: only changes, and until when there was none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.api import watch
from engine.api.views import Look
from engine.linux.cgroup_usage import Usage
from engine.observe.model import GroupEntry, Observation
from tests.unit.made_up_lab import lab, process


class FakePeer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.told: list[dict[str, Any]] = []

    def tell_news(self, subject: tuple[str, ...], message: dict[str, Any]) -> None:
        self.told.append(message)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["event"] == event]


def look(at: float, cpu_us: int, *, ticks: int = 0, plan: dict[str, Any] | None = None) -> Look:
    """One group that has used so much by then."""
    seen: Observation = lab(process(100))
    group = GroupEntry("/", (1, 2), usage=Usage(cpu_us=cpu_us), cpu_ticks=ticks, at=at)
    return Look(replace(seen, cgroups=(group,)), {}, plan)


def watched(looks: list[Look], monkeypatch: pytest.MonkeyPatch) -> tuple[FakePeer, float]:
    """A peer that watched while these were seen, and when the lab stops being lively, on the loop's clock from now."""
    monkeypatch.setattr(watch, "LOOK_S", 0.0)
    monkeypatch.setattr(watch, "QUIET_LOOK_S", 0.0)
    peer = FakePeer()

    async def run() -> float:
        waiting, all_seen = iter(looks), asyncio.Event()

        async def next_look(lab: str) -> Look:
            found = next(waiting, None)
            if found is None:
                all_seen.set()
                await asyncio.Event().wait()
                raise AssertionError
            return found

        watches = watch.Watches(next_look)
        watches.watch(peer, "lab")  # type: ignore[arg-type]
        await asyncio.wait_for(all_seen.wait(), 10)
        lively = watches._labs["lab"].lively_until - asyncio.get_running_loop().time()
        watches.unwatch(peer, 1)  # type: ignore[arg-type]
        return lively

    return peer, asyncio.run(run())


def test_counters_are_told_when_they_changed_with_when_they_last_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal looks are one message; the next says that until the second nothing was spent."""
    peer, _ = watched([look(1.0, 500), look(5.0, 500), look(6.0, 900)], monkeypatch)
    first, second = [message["groups"][0] for message in peer.of("lab.usage")]
    assert (first["at"], first["since"], first["usage"]["cpu_us"], first["processes"]) == (1.0, 1.0, 500, 2)
    assert (second["at"], second["since"], second["usage"]["cpu_us"]) == (6.0, 5.0, 900)


def test_a_lab_that_works_is_lively_without_anything_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy loop prints nothing, and its chart should still move each second; a prompt is no work."""
    _, lively = watched([look(1.0, 0, ticks=100), look(2.0, 1, ticks=101)], monkeypatch)
    assert lively > watch.LIVELY_S / 2  # the first look tells of all that ever ran
    _, lively = watched([look(1.0, 0, ticks=3), look(2.0, 1, ticks=5)], monkeypatch)
    assert lively < 0
    _, lively = watched([look(1.0, 0, ticks=3), look(2.0, 1, ticks=8 + watch.BUSY_TICKS)], monkeypatch)
    assert lively > watch.LIVELY_S / 2


def test_a_plan_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And again when it is another, or gone."""
    one, two = {"name": "one", "steps": []}, {"name": "two", "steps": []}
    plans = [None, one, one, two, None]
    peer, _ = watched([look(number, 0, plan=plan) for number, plan in enumerate(plans)], monkeypatch)
    assert [message["plan"] for message in peer.of("lab.plan")] == [one, two, None]
