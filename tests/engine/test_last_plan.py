"""The plan of the last `hako run` in a real lab, read from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.lab import Lab
from engine.observe.lastplan import PlanReader
from tests.engine.engines import Engine, shared_images, wait_for
from tests.engine.labs import sh

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def engine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(module_instance, tmp_path_factory.mktemp(module_instance), shared_images()) as made:
        yield made


def test_a_run_leaves_its_steps_with_times_and_a_failed_one_says_where(engine: Engine, lab: Lab) -> None:
    """Every step that was taken has its time, in the order of the plan; a program that is not there fails at `exec`."""
    assert lab.process is not None
    plans, pid = PlanReader(), lab.process.pid
    plans.read(pid)
    assert plans.last is None
    assert sh(engine, lab, "hako run --rm --hostname box hako/mini true", timeout_s=25).status == 0

    def told(name: str) -> bool:
        plans.read(pid)
        return plans.last is not None and name in plans.last["argv"]

    wait_for(lambda: told("true"), 5)
    assert plans.last is not None
    steps = plans.last["steps"]
    kinds = [step["kind"] for step in steps]
    assert kinds[0] == "create_cgroup"
    assert kinds[-1] == "exec"
    assert [step["kind"] for step in steps if step["at_us"] is None] == []
    begun = [step["at_us"] for step in steps]
    assert begun == sorted(begun)
    assert all(step["took_us"] > 0 for step in steps[:-1])
    clone = steps[kinds.index("clone")]
    assert set(clone["kinds"]) == {"pid", "mnt", "uts", "ipc"}
    assert "box" in steps[kinds.index("hostname")]["text"]["ja"]
    assert sh(engine, lab, "hako run --rm hako/mini /no/such", timeout_s=25).status == 127
    wait_for(lambda: told("/no/such"), 5)
    assert plans.last is not None
    assert plans.last["steps"][plans.last["failed"]]["kind"] == "exec"
