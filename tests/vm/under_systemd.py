"""Tests for the guest alone, run by name: that it is what it must be, and what systemd as the first process changes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.linux import procfs
from engine.linux.cgroups import Cgroups, Limits
from tests.engine.engines import Engine, shared_images

pytestmark = pytest.mark.root

TREE = Path("/sys/fs/cgroup")


def controllers(group: Path) -> set[str]:
    """Those that the groups below have."""
    return set((group / "cgroup.subtree_control").read_text().split())


def cgroup_options() -> tuple[str, ...]:
    """The options of the machine's own cgroup2."""
    return next(mount.super_options for mount in procfs.mountinfo("self") if mount.target == str(TREE))


def test_the_guest_is_what_it_is_for() -> None:
    """cgroup v2 with every controller and no v1 tree, systemd as PID 1, and each mount shared."""
    found = Cgroups.detect().hierarchy
    assert (found.kind, found.unified) == ("v2", TREE)
    assert found.v2_controllers >= {"cpu", "cpuset", "io", "memory", "pids"}
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert next(mount for mount in procfs.mountinfo("self") if mount.target == "/").shared is not None


def use_a_unit(name: str, limit: str) -> None:
    """Have systemd read its units anew and run one with a limit to its end: what makes it hand controllers about."""
    unit = Path("/run/systemd/system", f"{name}.service")
    unit.write_text(f"[Service]\nType=oneshot\nExecStart=/bin/true\n{limit}\n")
    try:
        for words in (["daemon-reload"], ["start", unit.name]):
            subprocess.run(["systemctl", *words], check=True, timeout=60)
    finally:
        unit.unlink()
        subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=60)


def test_systemd_takes_no_controller_from_us(instance: str) -> None:
    """Its units come and go with limits of their own; ours stay in force, also before our first group is made."""
    root = Cgroups.detect().root(instance)
    try:
        before = controllers(TREE / instance)
        assert before >= {"cpu", "cpuset", "io", "memory", "pids"}
        use_a_unit(instance, "AllowedCPUs=0")
        assert controllers(TREE) >= before and controllers(TREE / instance) == before
        group = root.create("box", Limits(memory_bytes=32 << 20, cpus=0.5, pids=10))
        use_a_unit(instance, "MemoryMax=64M")
        assert (TREE / instance / "box/cpu.max").read_text() == "50000 100000\n"
        assert group.usage().memory_limit_bytes == 32 << 20
        group.remove()
    finally:
        root.remove()


def test_options_of_the_cgroup_file_system_stay(instance: str, tmp_path: Path) -> None:
    """A mount of cgroup2 from the first cgroup namespace would reset nsdelegate for the whole machine."""
    before = cgroup_options()
    assert "nsdelegate" in before
    with Engine(instance, tmp_path / "engine", shared_images()) as engine:
        engine.run(engine.labs.create("tests"))
        assert engine.output("cat", "/proc/self/cgroup") == (0, "0::/\n")
        assert cgroup_options() == before
