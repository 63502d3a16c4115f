"""Ways out that containers and labs of others had, tried on ours; each claim names its CVE where there is one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.linux import cgroups
from engine.storage import loop
from tests.engine.engines import Engine

pytestmark = pytest.mark.root


# What a container's root may do, being the machine's root without most of its power


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A block device of the machine with a secret on it: (the file behind it, its number)."""
    image = tmp_path / "secret.img"
    image.write_bytes(b"SECRET" + bytes(1 << 20))
    with image.open("r+b") as file:
        device, fd = loop.attach(file.fileno(), "hako/test-escape")
    try:
        yield image, os.stat(device.device).st_rdev
    finally:
        loop.release(device)
        os.close(fd)


def test_a_node_made_by_root_opens_no_device(engine: Engine, disk: tuple[Path, int]) -> None:
    """CAP_MKNOD makes a node of the machine's disk, as with Docker, but the group's list keeps it from being opened."""
    image, number = disk
    node = f"mknod /d b {os.major(number)} {os.minor(number)}"
    code, text = engine.output("sh", "-c", f"{node} && head -c 6 /d; echo X > /d; mknod /f c 10 229; head -c 1 /f")
    assert "SECRET" not in text
    assert text.count("Operation not permitted") == 3
    assert code != 0
    assert image.read_bytes()[:6] == b"SECRET"


def test_the_usual_devices_work(engine: Engine) -> None:
    """What every container gets can be opened, by the engine's nodes and by one it makes itself."""
    script = (
        "for d in null zero full random urandom; do : < /dev/$d || exit 1; done; mknod /n c 1 3 && echo x > /n"
        " && echo y > /dev/null && tty && echo z > /dev/tty && echo w > /dev/console && echo fine"
    )
    assert "fine" in engine.output("sh", "-c", script, tty=True)[1]


def test_devices_are_kept_away_on_v2(engine: Engine, disk: tuple[Path, int]) -> None:
    """The same list as a BPF program on a group of the v2 tree: the null device yes, the disk no, making nodes yes."""
    unified = engine.groups.hierarchy.unified
    if unified is None:
        pytest.skip("no cgroup v2 tree is mounted")
    v2 = cgroups.Root(cgroups.Hierarchy({}, unified, frozenset()), engine.settings.instance)
    group = v2.create("devices")
    group.allow_devices((("c", 1, 3), ("c", 136, None)))
    node = disk[0].parent / "node"
    procs = unified / engine.settings.instance / "devices" / "cgroup.procs"
    script = (
        f"echo 0 > {procs}; : < /dev/null && mknod {node} b {os.major(disk[1])} {os.minor(disk[1])} || exit 1;"
        f" head -c 1 {node} /dev/zero"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    group.remove()
    assert done.returncode == 1
    assert done.stderr.count("Operation not permitted") == 2
    assert done.stdout == ""
