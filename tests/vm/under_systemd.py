"""Tests for the guest alone, run by name: that it is what it must be, and what systemd as the first process changes."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import systemd
from engine.client import EngineClient
from engine.linux import procfs
from engine.linux.cgroups import Cgroups, Limits
from engine.settings import Settings
from engine.supervisor import Address
from tests.engine.engines import ROOT, Engine, link_images, shared_images, wait_for

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


@pytest.fixture
def service(instance: str, tmp_path: Path) -> Iterator[Settings]:
    """Hako as the units of `hako up --systemd` start it, and stopped as systemd stops it."""
    link_images(tmp_path / "data")
    settings = Settings(instance=instance, data=tmp_path / "data", run=Path("/run", instance))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    for place in (tmp_path, *tmp_path.parents[:2]):
        place.chmod(0o755)  # the page's own user passes through
    units = [Path("/run/systemd/system", name) for name in systemd.units(settings, Address("127.0.0.1", port))]
    for unit, text in zip(units, systemd.units(settings, Address("127.0.0.1", port)).values(), strict=True):
        unit.write_text(text)
    more = Path("/etc/default", instance)
    more.write_text(f"PYTHONPATH={ROOT}\n")
    try:
        systemctl("daemon-reload")
        systemctl("start", f"{instance}.service")
        wait_for(lambda: answers(port, instance), 200)
        yield settings
    finally:
        systemctl("stop", f"{instance}.service", f"{instance}.slice")
        for path in (*units, more):
            path.unlink()
        systemctl("daemon-reload")


def systemctl(*words: str) -> None:
    """systemctl(1), content with what it did."""
    subprocess.run(["systemctl", *words], check=True, timeout=100)


def answers(port: int, unit: str) -> bool:
    """Whether the page is there with its engine; the journal's end in the failure if the unit has ended."""
    state = subprocess.run(["systemctl", "is-failed", unit], capture_output=True, text=True, timeout=60)
    if state.stdout.strip() == "failed":
        log = subprocess.run(["journalctl", "-u", unit, "-n", "60"], capture_output=True, text=True, timeout=60)
        raise AssertionError(log.stdout)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_hako_is_a_service_with_a_delegated_group(service: Settings) -> None:
    """All groups of ours lie in the unit's own; a lab runs in them with its limits; stopped, nothing of it is left."""
    name = service.instance
    ours = TREE / f"{name}.slice/{name}.service"
    with EngineClient(service.lab_socket) as engine:
        lab = engine.lab_create("tests", {}).id
        done = engine.lab_script(lab, "hostname; cat /proc/self/cgroup")
        assert (done.status, done.stdout) == (0, b"lab\n0::/\n")
        group = next(path for path in ours.rglob(lab))
        assert (group / "memory.max").read_text() == f"{service.lab_memory_bytes}\n"
        use_a_unit(f"{name}x", "MemoryMax=64M")
        assert (group / "memory.max").read_text() == f"{service.lab_memory_bytes}\n"
    systemctl("stop", f"{name}.service")
    assert not ours.exists() and not (TREE / name).exists()
    assert [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(name)] == []
