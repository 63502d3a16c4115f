"""Predicates about cgroups, on made-up observations of a v1 and of a v2 kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.linux.cgroup_usage import Usage
from engine.observe.model import GroupEntry, Observation, Process
from tests.unit.made_up_lab import check, lab, process, said

V1 = {"cpu": "v1", "memory": "v1", "pids": "v1", "blkio": "v1", "freezer": "v1"}
V2 = {"cpu": "v2", "memory": "v2", "pids": "v2", "io": "v2"}
BOX = {"group": "/box"}


def seen(controllers: dict[str, str], *groups: GroupEntry, processes: tuple[Process, ...] = ()) -> Observation:
    top = GroupEntry("/", (11,), tuple(controllers))
    return replace(lab(*processes), cgroups=(top, *groups), controllers=controllers)


def box(*controllers: str, usage: dict[str, Any] | None = None, **more: Any) -> GroupEntry:
    return GroupEntry("/box", (), controllers, usage=Usage(**(usage or {})), **more)


def test_who_is_in_a_group_is_asked_in_the_controllers_own_tree() -> None:
    """v1: a group of that name in another tree is another group; v2: one for all."""
    inside = replace(process(20), cgroups={"pids": "/box"})
    pids = {**BOX, "controller": "pids"}
    assert said(seen(V1), process_in_cgroup=pids) == "cgroup_absent"
    assert check(seen(V1, box("memory")), process_in_cgroup=pids).params["trees"] == ["memory"]
    assert said(seen(V1, box("pids")), process_in_cgroup=pids) == "cgroup_empty"
    both = seen(V1, box("memory", "pids"), processes=(inside,))
    assert check(both, process_in_cgroup=pids).ok
    assert said(both, process_in_cgroup={**BOX, "controller": "memory"}) == "cgroup_empty"
    assert said(both, process_in_cgroup={**pids, "comm": "sleep"}) == "comm_other"
    assert check(both, process_in_cgroup={"group": "/", "controller": "memory", "comm": "bash"}).ok
    unified = seen(V2, box("cpu", "pids"), processes=(process(20, cgroup="/box"),))
    assert check(unified, process_in_cgroup={**BOX, "controller": "memory"}).ok


@pytest.mark.parametrize(
    ("what", "usage", "more", "value"),
    [
        ("cpu", {"cpu_quota_us": 20_000}, {}, 20),
        ("memory", {"memory_limit_bytes": 50}, {}, 50),
        ("pids", {"pids_limit": 20}, {}, 20),
        ("weight", {}, {"cpu_weight": 25}, 25),
        ("write", {}, {"io": {"7:1": {"wbps": 30, "written": 9}, "7:2": {"written": 1}}}, 30),
    ],
)
def test_limits_are_found_and_held_to_their_bounds(
    what: str, usage: dict[str, int], more: dict[str, Any], value: int
) -> None:
    """None at all, too high, too low, right; by the same words on both versions."""
    for controllers in (V1, V2):
        names = tuple(controllers)
        none, some = seen(controllers, box(*names)), seen(controllers, box(*names, usage=usage, **more))
        args = {**BOX, "what": what}
        assert check(none, cgroup_limit=args).params == {"group": "/box", "what": what}
        assert check(some, cgroup_limit={**args, "min": value, "max": value}).ok
        high, low = check(some, cgroup_limit={**args, "max": 1}), check(some, cgroup_limit={**args, "min": 99})
        assert high.params["wanted"] == 1 and low.params["wanted"] == 99 and high.params["value"] == value


def test_what_a_limit_did_counts_only_below_a_limit() -> None:
    """Without one: no limit; with one that nothing met: so many; and at last it holds."""
    for predicate, limit, none, done, code in (
        ("cgroup_throttled", {"cpu_quota_us": 1}, {"periods": 9}, {"throttled_periods": 2}, "throttled_none"),
        ("oom_killed", {"memory_limit_bytes": 1}, {"memory_limit_hits": 7}, {"oom_kills": 2}, "oom_none"),
        ("pids_refused", {"pids_limit": 5}, {"pids": 3}, {"pids_refused": 2}, "refused_none"),
    ):
        assert said(seen(V1, box(*V1)), **{predicate: BOX}) == "limit_none"
        assert said(seen(V1, box(*V1, usage={**limit, **none})), **{predicate: BOX}) == code
        after = seen(V1, box(*V1, usage={**limit, **none, **done}))
        assert check(after, **{predicate: {**BOX, "min": 2}}).ok
        assert said(after, **{predicate: {**BOX, "min": 3}}) == code


def test_frozen_needs_somebody_to_freeze() -> None:
    """An empty frozen group has stopped nobody; thawed can be asked for as well."""
    inside = replace(process(20), cgroups={"freezer": "/box"})
    assert said(seen(V1, box("freezer", frozen=False), processes=(inside,)), cgroup_frozen=BOX) == "frozen_not"
    assert said(seen(V1, box("freezer", frozen=True)), cgroup_frozen=BOX) == "cgroup_empty"
    frozen = seen(V1, box("freezer", frozen=True), processes=(inside,))
    assert check(frozen, cgroup_frozen=BOX).params == {"pids": [12]}
    assert said(frozen, cgroup_frozen={**BOX, "frozen": False}) == "frozen_still"
    unified = seen(V2, box("pids", frozen=True), processes=(process(20, cgroup="/box"),))
    assert check(unified, cgroup_frozen=BOX).ok


def test_ratio_of_cpu_time() -> None:
    """Of who is there now; too little time says nothing yet."""
    args = {"group": "/heavy", "than": "/light", "min": 250, "max": 600}
    two = (replace(process(20), cgroups={"cpu": "/heavy"}), replace(process(21), cgroups={"cpu": "/light"}))

    def of(heavy: int, light: int) -> Observation:
        groups = (
            GroupEntry("/heavy", (), ("cpu",), cpu_ticks=heavy),
            GroupEntry("/light", (), ("cpu",), cpu_ticks=light),
        )
        return seen(V1, *groups, processes=two)

    assert check(of(400, 100), cpu_ratio=args).params == {"ratio": 4.0}
    assert said(of(20, 5), cpu_ratio=args) == "cpu_ratio_early"
    assert check(of(100, 100), cpu_ratio=args).params["ratio"] == 1.0
    assert said(replace(of(400, 100), processes=two[:1]), cpu_ratio=args) == "cgroup_empty"


def test_bytes_written_to_devices() -> None:
    """Over all devices; on v1 in the tree of blkio."""
    one = {"7:1": {"written": 3_000_000}, "7:2": {"written": 2_000_000}}
    assert check(seen(V1, box("blkio", io=one)), io_written={**BOX, "min": 3_000_000}).ok
    assert check(seen(V2, box("io", io=one)), io_written={**BOX, "min": 3_000_001}).params["written"] == 3_000_000
    assert said(seen(V1, box("cpu")), io_written=BOX) == "cgroup_other_tree"


def test_news_is_a_limit_or_an_event_not_every_byte() -> None:
    """What changes all the time must not make a new revision, what a lesson waits for must."""
    before = box("memory", usage={"memory_bytes": 1, "memory_limit_bytes": 9})
    assert before == box("memory", usage={"memory_bytes": 2, "memory_limit_bytes": 9, "cpu_us": 5})
    assert before != box("memory", usage={"memory_bytes": 1, "memory_limit_bytes": 8})
    assert before != box("memory", usage={"memory_bytes": 1, "memory_limit_bytes": 9, "oom_kills": 1})
    assert box("cpu", cpu_ticks=10) == box("cpu", cpu_ticks=20) != box("cpu", cpu_ticks=90)


def test_a_limit_may_be_asked_of_any_group_of_a_kind() -> None:
    """`*` is any name: containers have numbers for names. One of them that fits is enough; none at all is said so."""
    asked = {"group": "/hako/*", "what": "memory", "max": 64}
    free = replace(box("memory"), path="/hako/1")
    small = replace(box("memory", usage={"memory_limit_bytes": 64}), path="/hako/2")
    assert check(seen(V1, free, small), cgroup_limit=asked).ok
    assert said(seen(V1, free), cgroup_limit=asked) == "limit_none"
    assert said(seen(V1), cgroup_limit=asked) == "cgroup_absent"
