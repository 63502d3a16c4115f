"""A real lab's cgroups observed from outside: where a process is, and what a limit did."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from engine.linux.cgroups import Limits
from engine.observe.model import GroupEntry
from engine.predicates import evaluate
from tests.engine.minilab import MiniLab, mini_lab, until

pytestmark = pytest.mark.root


@pytest.fixture
def lab(instance: str) -> Iterator[MiniLab]:
    """A lab with nothing running in it but its init."""
    with mini_lab(instance) as made:
        yield made


def box(lab: MiniLab) -> GroupEntry:
    return next(one for one in lab.observer.observe().cgroups if one.path == "/box")


def into_box(lab: MiniLab, pid: int) -> None:
    """Move a process into the box, in every tree."""
    inner = lab.root.get("labs/mini/payload/box")
    for path in inner.directories:
        (path / "cgroup.procs").write_text(str(pid))


def test_group_is_one_with_its_controllers_and_members(lab: MiniLab) -> None:
    """Whatever the number of trees: one entry, and the process is said to be in it, for each controller."""
    lab.root.create("labs/mini/payload/box", Limits(pids=20, memory_bytes=64 << 20, cpus=0.2))
    lab.spawn("sleep", "60")
    pid = lab.wait_for("sleep")
    seen = box(lab)
    assert {"cpu", "memory", "pids"} <= set(seen.controllers)
    assert (seen.usage.pids_limit, seen.usage.memory_limit_bytes, seen.usage.cpu_quota_us) == (20, 64 << 20, 20_000)
    in_box = [{"process_in_cgroup": {"group": "/box", "controller": name}} for name in ("cpu", "memory", "pids")]
    assert [one.code for one in evaluate(lab.observer.observe(), in_box)] == ["cgroup_empty"] * 3
    revision = lab.observer.observe().revision
    into_box(lab, pid)
    observation = lab.observer.observe()
    assert all(one.ok for one in evaluate(observation, in_box)) and observation.revision > revision
    told = next(one for one in observation.to_dict()["cgroups"] if one["path"] == "/box")
    assert told["usage"]["pids"] == 1


def test_quota_and_freezer_are_seen_at_work(lab: MiniLab) -> None:
    """A busy loop is throttled; frozen, it is said to be, and thawed no more."""
    inner = lab.root.create("labs/mini/payload/box", Limits(cpus=0.1))
    lab.spawn("bash", "-c", "while :; do :; done")
    into_box(lab, lab.wait_for("bash"))
    throttled, frozen = {"cgroup_throttled": {"group": "/box", "min": 2}}, {"cgroup_frozen": {"group": "/box"}}
    until(lambda: evaluate(lab.observer.observe(), [throttled])[0].ok)
    assert box(lab).cpu_ticks > 0
    inner.freeze()
    assert evaluate(lab.observer.observe(), [frozen])[0].ok
    inner.thaw()
    assert evaluate(lab.observer.observe(), [frozen])[0].code == "frozen_not"


def test_oom_kill_and_refused_fork_are_counted(lab: MiniLab) -> None:
    """Below its own limits a group fails alone, and says so."""
    lab.root.create("labs/mini/payload/box", Limits(memory_bytes=32 << 20, pids=3))
    asked = [{"oom_killed": {"group": "/box"}}, {"pids_refused": {"group": "/box"}}]
    assert [one.code for one in evaluate(lab.observer.observe(), asked)] == ["oom_none", "refused_none"]
    lab.spawn("bash", "-c", "kill -STOP $$; sleep 60 & sleep 60 & sleep 60 & sleep 60 & wait")
    bash = lab.wait_for("bash")
    into_box(lab, bash)
    until(lambda: _state(bash) == "T")
    os.kill(bash, signal.SIGCONT)
    until(lambda: evaluate(lab.observer.observe(), asked)[1].ok)
    os.kill(bash, signal.SIGKILL)
    for pid in lab.pids("sleep"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not lab.pids("bash"))  # else the next one found by that name may be this one, dying
    lab.spawn("bash", "-c", "kill -STOP $$; exec tail /dev/zero")
    hog = lab.wait_for("bash")
    into_box(lab, hog)
    until(lambda: _state(hog) == "T")
    os.kill(hog, signal.SIGCONT)
    until(lambda: evaluate(lab.observer.observe(), asked)[0].ok)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]
