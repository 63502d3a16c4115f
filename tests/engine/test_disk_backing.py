"""Layers and upper directories where the data directory lies on overlay, as in a container without a volume."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import Failed
from engine.linux import mounts, syscalls
from engine.linux.procfs import Mount
from engine.storage import backing, loop, union
from engine.storage.disk import LabDisks
from engine.storage.layers import LayerStore
from engine.storage.overlay import OverlayDriver

pytestmark = pytest.mark.root


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory on overlay; everything mounted below it goes at the end."""
    for name in ("low", "up", "wk", "merged"):
        (tmp_path / name).mkdir()
    fd = OverlayDriver().mount([tmp_path / "low"], tmp_path / "up", tmp_path / "wk")
    mounts.attach_path(fd, str(tmp_path / "merged"))
    os.close(fd)
    folder = tmp_path / "merged" / "data"
    folder.mkdir()
    yield folder
    backing.release(folder)
    image = folder / backing.IMAGE
    deadline = time.monotonic() + 10
    while image.exists() and loop.find(image) is not None:
        assert time.monotonic() < deadline, "a loop device is still bound"
        time.sleep(0.005)
    syscalls.umount2(str(tmp_path / "merged"))


def test_a_good_data_directory_is_left_alone(tmp_path: Path) -> None:
    """On ext4 and its like nothing is made and nothing is mounted."""
    before = Path("/proc/self/mountinfo").read_text()
    assert backing.prepare(tmp_path).ok
    assert list(tmp_path.iterdir()) == []
    assert Path("/proc/self/mountinfo").read_text() == before


def test_on_overlay_everything_works_all_the_same(data: Path) -> None:
    """Layers, a container's upper directory and a lab's disk: all in place although `data` is on overlay."""
    assert not backing.prepare(data).ok
    chosen, _ = union.choose(data / "containers")
    store = LayerStore(data / "layers")
    with store.staging() as top:
        (top / "file").touch()
        layer = store.adopt(top)
    for name in ("upper", "work"):
        (data / "containers" / name).mkdir()
    os.close(chosen.mount([layer.path], data / "containers/upper", data / "containers/work"))
    with contextlib.closing(LabDisks(data / "disks").create("one", 64 * 1024**2)) as disk:
        assert os.stat("lab", dir_fd=disk.mount_fd).st_uid == 0
    LabDisks(data / "disks").destroy("one")


@contextlib.contextmanager
def _user_namespace() -> Iterator[int]:
    """An fd of a new user namespace; what it prints shows that it is there, closing its input ends it."""
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", "echo there; read end"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        fd = os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)


def test_layers_can_be_idmapped_only_after_it(data: Path) -> None:
    """What `prepare` is for: a layer on overlay cannot be shown with a lab's ids, one on the image can."""
    (data / "plain").mkdir()
    backing.prepare(data)
    (data / "layers" / "one").mkdir()
    with _user_namespace() as userns:
        for folder, refused in ((data / "plain", True), (data / "layers" / "one", False)):
            fd = mounts.copy(str(folder))
            try:
                with pytest.raises(OSError, match="mount_setattr") if refused else contextlib.nullcontext():
                    mounts.idmap(fd, userns)
            finally:
                os.close(fd)


def test_twice_is_once_and_kept_over_a_restart(data: Path) -> None:
    """A second daemon finds the mounts; after an end for good the next start finds the content."""
    backing.prepare(data)
    (data / "layers" / "kept").write_text("x")
    table = Path("/proc/self/mountinfo").read_text()
    backing.prepare(data)
    assert Path("/proc/self/mountinfo").read_text() == table
    backing.release(data)
    backing.release(data)
    assert list((data / "layers").iterdir()) == []
    backing.prepare(data)
    assert (data / "layers" / "kept").read_text() == "x"


def test_nothing_is_hidden_by_a_mount(data: Path) -> None:
    """Layers that lie there already (made by an older version) are not covered: the error names the directory."""
    (data / "layers").mkdir()
    (data / "layers" / "old").touch()
    with pytest.raises(Failed, match="not empty"):
        backing.prepare(data)
    assert not (data / backing.IMAGE).exists()


def _mount(target: str, fstype: str) -> Mount:
    return Mount(1, 0, "0:1", "/", target, (), None, None, False, fstype, "none", ())


def test_filesystem_is_the_innermost_and_last_mount() -> None:
    """The longest target decides, by whole names; of two on one target the later covers the earlier."""
    table = [
        _mount("/", "overlay"),
        _mount("/nowhere", "xfs"),
        _mount("/nowhere/data", "ext4"),
        _mount("/nowhere", "nfs"),
    ]
    assert backing.filesystem(Path("/nowhere/data/x"), table) == "ext4"
    assert backing.filesystem(Path("/nowhere/database"), table) == "nfs"
    assert backing.filesystem(Path("/elsewhere"), table) == "overlay"
