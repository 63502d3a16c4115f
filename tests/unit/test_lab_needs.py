"""What a lab needs of the kernel, said in words that a person can act on."""

from __future__ import annotations

import errno

import pytest

from engine import lab_needs, lab_plan
from engine.runtime.process import StepFailed

PLAN = lab_plan.build(lab_plan.LabSpec("x", ("/l",), 1_000_000_000, "lab", 2**29, 1.0, 512, 2**31))
STEPS = {step.kind: number for number, step in enumerate(PLAN.steps)}


@pytest.mark.parametrize(
    ("kind", "number", "release"),
    [
        ("map_ids", errno.ENOSYS, "5.10.0-8-amd64"),
        ("map_ids", errno.EINVAL, "5.12.1"),
        ("overlay", errno.EINVAL, "5.15.0-91"),
    ],
)
def test_an_old_kernel_is_named(kind: str, number: int, release: str) -> None:
    """Before Linux 5.19 the failure of these steps is the kernel's age, and says what still works."""
    found = lab_needs.unsupported(StepFailed(PLAN, STEPS[kind], number, "mount_setattr: refused"), release)
    assert found is not None
    assert release in found.message
    assert "5.19" in found.hint
    assert "hako run" in found.hint


def test_a_file_system_is_named_on_a_new_kernel() -> None:
    """From 5.19 on what cannot be id-mapped is the file system."""
    found = lab_needs.unsupported(StepFailed(PLAN, STEPS["map_ids"], errno.EINVAL, "mount_setattr: refused"), "6.18.4")
    assert found is not None
    assert "ext4" in found.hint


@pytest.mark.parametrize(
    ("kind", "number"), [("map_ids", errno.ECHILD), ("exec", errno.EINVAL), ("overlay", errno.EIO)]
)
def test_other_failures_stay_what_they_are(kind: str, number: int) -> None:
    """A lab that fails for another reason is not blamed on the kernel."""
    assert lab_needs.unsupported(StepFailed(PLAN, STEPS[kind], number, "x"), "5.10.0") is None


def test_only_the_time_namespace_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel without CONFIG_TIME_NS a lab is made without one; the lack of another kind is told."""
    monkeypatch.setattr("engine.linux.namespaces.available", lambda: ["mnt", "uts"])
    lab_needs.kinds.cache_clear()
    try:
        assert set(lab_plan.KINDS) - set(lab_needs.kinds()) == {"time"}
    finally:
        lab_needs.kinds.cache_clear()
