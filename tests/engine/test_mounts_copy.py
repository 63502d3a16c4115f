"""Detached copies of mounts that are shared, as every mount is where systemd is PID 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.linux import mounts, procfs, syscalls
from engine.storage import overlay_mount

pytestmark = pytest.mark.root


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A shared tmpfs with a shared tmpfs in it; with all that is mounted below, it goes at the end."""
    for path in (tmp_path, tmp_path / "inner"):
        path.mkdir(exist_ok=True)
        syscalls.mount("tmpfs", str(path), "tmpfs", 0)
        mounts.propagation(str(path), "shared")
    for name in ("copy", "later"):
        (tmp_path / name).mkdir()
    yield tmp_path
    syscalls.umount2(str(tmp_path), syscalls.MNT_DETACH)


def targets() -> set[str]:
    return {mount.target for mount in procfs.mountinfo("self")}


def test_what_is_mounted_later_does_not_cross(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither into a copy (a volume), nor out of it, nor by way of a mount below it."""
    other = tmp_path_factory.mktemp("other")
    fd = mounts.copy(str(shared), recursive=True)
    mounts.attach_path(fd, str(other))
    os.close(fd)
    try:
        (shared / "inner/below").mkdir()
        for made in (shared / "later", other / "copy", shared / "inner/below"):
            syscalls.mount("tmpfs", str(made), "tmpfs", 0)
        seen = targets()
        assert {str(shared / "later"), str(other / "copy"), str(other / "inner")} <= seen
        assert not {str(other / "later"), str(shared / "copy"), str(other / "inner/below")} & seen
    finally:
        syscalls.umount2(str(other), syscalls.MNT_DETACH)


def test_root_of_a_container_is_never_shared(shared: Path) -> None:
    """The overlay of older kernels is mounted on a directory for a moment; pivot_root refuses one shared there."""
    layers = [os.open(shared / name, os.O_PATH) for name in ("later", "copy")]
    fd = overlay_mount.mount(layers, use="page", staging=str(shared))
    for layer in layers:
        os.close(layer)
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            mounts.propagation("/", "slave")
            mounts.attach_path(fd, str(shared / "inner"))
            mounts.pivot_root(fd)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
