"""Predicates about processes and their namespaces, on made-up observations."""

from __future__ import annotations

from typing import Any

import pytest

from engine.observe.model import LinkEntry, Namespace, Observation, Process
from engine.predicates import Result
from tests.unit.made_up_lab import LAB, LAB_PROC, ROOT, check, lab, mount, process, said


def test_fresh_lab_fulfils_nothing_and_its_own_processes_do_not_count() -> None:
    """Init and the shell are in the lab's namespaces; no predicate takes them for something a learner made."""
    fresh = lab()
    assert check(fresh, hostname={"name": "box"}) == Result(False, "no_own_ns", {"kind": "uts"})
    assert check(fresh, first_process={}).params == {"kind": "pid"}
    assert said(fresh, process_in_ns={"nspid": 1}) == "nspid_other"  # only init is 1, and it does not count
    assert said(fresh, id_map={"uid": "0 * 1"}) == said(fresh, link={"name": "lo"}) == "no_own_ns"
    assert said(fresh, time_offset={"clock": "boottime", "min": 1}) == "no_own_ns"
    assert check(fresh, lab_proc_intact={}).ok and check(fresh, lab_hostname={"name": "lab"}).ok


def test_nearest_process_is_the_one_spoken_of() -> None:
    """Of several, the one that lacks fewest kinds; among equals the youngest."""
    observation = lab(process(20, uts=201), process(21, "box", uts=202, pid=302, nspid=(13, 1)), process(22, uts=203))
    result = check(observation, process_in_ns={"differs": ["uts", "pid", "net"]})
    assert result.params == {"missing": ["net"], "have": ["uts", "pid"], "pid": 13, "comm": "box"}
    result = check(observation, process_in_ns={"differs": ["uts"], "hostname": "nix"})
    assert (result.code, result.params["pid"]) == ("hostname_other", 14)


def test_all_conditions_must_hold_for_one_and_the_same_process() -> None:
    """Two processes with half each are not one with all."""
    halves = lab(process(20, uts=201), process(21, pid=301, nspid=(13, 1)), hostnames={201: "box"})
    assert said(halves, process_in_ns={"differs": ["uts", "pid"], "hostname": "box"}) == "kinds_missing"
    whole = lab(process(20, "sh", uts=201, pid=301, nspid=(12, 1)), hostnames={201: "box"})
    found = check(whole, process_in_ns={"differs": ["uts", "pid"], "hostname": "box", "nspid": 1})
    assert found == Result(True, "ok", {"pid": 12, "comm": "sh", "inode": 201})


@pytest.mark.parametrize(
    ("condition", "code", "params"),
    [
        ({"same": ["net", "uts"]}, "kinds_extra", {"extra": ["uts"]}),
        ({"nspid": 1}, "nspid_other", {"nspid": 12, "wanted": 1}),
        ({"hostname": "nix"}, "hostname_other", {"hostname": "box", "wanted": "nix"}),
        ({"own_proc": True}, "old_proc", {"have": []}),
        ({"uid_map": "0 * 1"}, "map_empty", {"file": "uid_map"}),
        ({"cgroup": "/box"}, "cgroup_other", {"cgroup": "/other", "wanted": "/box"}),
        ({"link_up": "eth0"}, "link_absent", {"name": "eth0"}),
        ({"link_up": "lo"}, "link_down", {"name": "lo"}),
        ({"comm": "sleep"}, "comm_other", {"comm": "bash", "wanted": "sleep"}),
        ({"own_root": True}, "root_of_lab", {"comm": "bash"}),
        ({"state": "T"}, "state_other", {"state": "S", "wanted": "T"}),
        ({"caps": ["kill", "CHOWN"]}, "caps_other", {"extra": [], "missing": ["CHOWN", "KILL"]}),
    ],
)
def test_each_condition_says_what_is_unlike(condition: dict[str, Any], code: str, params: dict[str, Any]) -> None:
    """One process with its own uts namespace that fails just this condition."""
    # The lab's own /proc is no reason: this table has none at all.
    observation = lab(
        process(20, uts=201, cgroup="/other", mnt=LAB["mnt"]),
        hostnames={201: "box"},
        mounts={LAB["mnt"]: (ROOT,)},
        links={LAB["net"]: (LinkEntry("lo", "loopback", False, (), None),)},
    )
    result = check(observation, process_in_ns={"differs": ["uts"], **condition})
    assert result.code == code and params.items() <= result.params.items()


def test_group_below_the_wanted_one_counts_and_a_namesake_does_not() -> None:
    """/box/inner is in /box; /boxes is not."""
    for cgroup, ok in (("/box", True), ("/box/inner", True), ("/boxes", False), ("/", False)):
        assert check(lab(process(20, cgroup=cgroup)), process_in_ns={"cgroup": "/box"}).ok == ok


def test_zombie_is_nobody() -> None:
    """It has left all namespaces but its pid namespace."""
    zombie = process(20, "gone", state="Z")
    without = Process(
        **{**{name: getattr(zombie, name) for name in Process.__slots__}, "ns": {"pid": 301, "user": 100}}
    )
    assert said(lab(without), first_process={}) == "no_own_ns"


def test_child_outside_is_told_from_a_living_child() -> None:
    """The parent of a living box asked for its namespace too, but there somebody lives."""
    assert said(lab(process(20, children_pid_ns=301)), first_process={}) == "child_outside"
    assert check(lab(process(20, children_pid_ns=0)), first_process={}).params["started"] is False
    living = lab(process(20, "unshare", children_pid_ns=301), process(21, pid=301, nspid=(13, 1)))
    assert check(living, first_process={}).ok
    assert said(living, first_process={"comm": "sleep"}) == "comm_other"


def test_renamed_lab_is_told_even_beside_a_right_box() -> None:
    """The outer name must stay; the box alone is not enough."""
    right = lab(process(20, uts=201), hostnames={201: "box"})
    assert check(right, hostname={"name": "box"}).ok
    both = lab(process(20, uts=201), hostnames={201: "box", LAB["uts"]: "box"})
    assert said(both, hostname={"name": "box"}) == "lab_renamed"
    assert check(both, lab_hostname={"name": "lab"}).params == {"hostname": "box"}


def test_covered_proc_of_the_lab_is_told_and_a_nested_one_is_fine() -> None:
    """What counts is the uppermost /proc of each mount namespace."""
    inner = mount(9, "/proc", "proc", parent=2, pid_ns=301)
    box = process(20, pid=301, mnt=401, nspid=(12, 1))
    own = lab(box, mounts={401: (ROOT, LAB_PROC, inner)})
    assert check(own, own_proc={}).ok and check(own, lab_proc_intact={}).ok
    old = lab(box, mounts={401: (ROOT, LAB_PROC)})
    assert check(old, own_proc={}).params == {"have": ["pid", "mnt"], "pid": 12, "comm": "bash"}
    outside = lab(process(20, pid=301, nspid=(12, 1)), mounts={LAB["mnt"]: (ROOT, LAB_PROC, inner)})
    assert said(outside, own_proc={}) == said(outside, lab_proc_intact={}) == "lab_proc_covered"
    dead = lab(mounts={LAB["mnt"]: (ROOT, LAB_PROC, mount(9, "/proc", "proc", parent=2))})
    assert said(dead, lab_proc_intact={}) == "lab_proc_covered"


def test_maps_are_compared_line_by_line() -> None:
    """A star is any number; more lines than asked for are another map, and a written one is spoken of first."""
    ones = lab(process(20, user=501), process(21, user=502), maps={501: ((0, 1000, 1),), 502: ()})
    assert check(ones, id_map={"uid": "0 * 1", "gid": "0 1000 1"}).ok
    result = check(ones, id_map={"uid": "0 0 1"})
    assert (result.code, result.params["map"], result.params["wanted"]) == ("map_other", ["0 1000 1"], ["0 0 1"])
    assert said(lab(process(20, user=502)), id_map={"gid": "0 * 1"}) == "map_empty"
    two = lab(process(20, user=501), maps={501: ((0, 0, 1), (1, 5, 9))})
    assert said(two, id_map={"uid": "0 * 1"}) == "map_other"
    assert check(two, id_map={"uid": ["0 * 1", "1 * *"]}).ok


@pytest.mark.parametrize(
    ("limits", "ok", "wanted"),
    [
        ({"min": 10}, True, None),
        ({"min": 11}, False, 11),
        ({"max": 9}, False, 9),
        ({"min": 5, "max": 15}, True, None),
        ({"equals": 10}, True, None),
        ({"equals": 9}, False, 9),
        ({"equals": 11}, False, 11),
    ],
)
def test_time_offset_bounds(limits: dict[str, int], ok: bool, wanted: int | None) -> None:
    """Seconds of one clock, with what was wanted instead."""
    observation = lab(process(20, time=601), offsets={601: {"boottime": 10, "monotonic": 0}})
    result = check(observation, time_offset={"clock": "boottime", **limits})
    assert result.ok == ok and (ok or result.params["wanted"] == wanted)


def test_kept_namespace_needs_nobody_inside() -> None:
    """By a mount or an fd as asked; held by a process it is alive, not kept."""

    def kept(by: str, hostname: str = "kept") -> Observation:
        return lab(more=(Namespace("uts", 777, None, None, (), by, False, "/f", hostname),))

    asked = {"kind": "uts", "by": "mount"}
    assert check(kept("mount"), kept_namespace={**asked, "hostname": "kept"}).params == {"inode": 777}
    assert said(kept("mount"), kept_namespace={**asked, "hostname": "other"}) == "hostname_other"
    assert check(kept("fd"), kept_namespace=asked).params["kept_by"] == "fd"
    assert said(lab(process(20, uts=201)), kept_namespace=asked) == "kept_otherwise"
    assert said(lab(), kept_namespace=asked) == "not_kept"


def test_process_gone_is_the_opposite_of_process_in_ns() -> None:
    """It holds when nobody fits, and else names who does."""
    assert check(lab(), process_gone={"differs": ["pid"]}).ok
    assert check(lab(process(20, "sleep", pid=301)), process_gone={"differs": ["pid"]}).params == {
        "pid": 12,
        "comm": "sleep",
    }
