"""Lab disks on the real kernel: loop devices, ext4, crashes."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput, Conflict, Exhausted, Failed, NotFound, Unsupported
from engine.storage import loop, template
from engine.storage.disk import LabDisk, LabDisks

pytestmark = pytest.mark.root

SIZE = 64 * 1024 * 1024


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[LabDisks]:
    """The disks of an engine of this test's own; at the end none may be attached."""
    made = LabDisks(tmp_path / "disks")
    yield made
    _until(lambda: not made.attached(), "a loop device is still bound")


def _until(condition: Callable[[], bool], message: str, seconds: float = 10.0) -> None:
    """Autoclear happens when the last reference goes, which the kernel may do a moment later in a worker."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.005)


@contextlib.contextmanager
def _inside(disk: LabDisk) -> Iterator[int]:
    top = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=disk.mount_fd)
    try:
        yield top
    finally:
        os.close(top)


def _write(top: int, name: str, data: bytes, *, sync: bool = False) -> None:
    fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600, dir_fd=top)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(fd)


def test_a_new_disk_has_the_three_places(disks: LabDisks) -> None:
    """up/, wk/ and lab/ are there from the start, owned by root; the device's number is a block device's."""
    disk = disks.create("one", SIZE)
    with contextlib.closing(disk), _inside(disk) as top:
        places = {name: os.stat(name, dir_fd=top) for name in os.listdir(top) if name != "lost+found"}
        assert {name: (stat.S_IMODE(s.st_mode), s.st_uid) for name, s in places.items()} == {
            "up": (0o755, 0), "wk": (0o755, 0), "lab": (0o755, 0),
        }  # fmt: skip
        assert os.stat(disk.device).st_rdev == places["up"].st_dev
    disks.destroy("one")
    assert disks.labs() == []


def test_the_lab_cannot_read_a_path_of_the_machine(disks: LabDisks) -> None:
    """sysfs, which the lab sees, knows the image as /disk.img."""
    disk = disks.create("one", SIZE)
    with contextlib.closing(disk):
        backing = Path(f"/sys/block/{Path(disk.device).name}/loop/backing_file").read_text()
    assert backing == "/disk.img\n"


def test_bytes_and_files_are_bounded(disks: LabDisks) -> None:
    """Neither more bytes nor more files than the disk has; both end in ENOSPC, and the image stays within its size."""
    disk = disks.create("one", 16 * 1024 * 1024)
    with contextlib.closing(disk), _inside(disk) as top:
        status = os.fstatvfs(top)
        assert status.f_blocks * status.f_frsize <= 16 * 1024 * 1024
        assert status.f_files == 16 * 1024 * 1024 // template.BYTES_PER_INODE
        with pytest.raises(OSError, match="No space left"):
            for number in range(status.f_files):
                os.close(os.open(f"lab/{number}", os.O_CREAT | os.O_WRONLY, dir_fd=top))
        with pytest.raises(OSError, match="No space left"):
            os.unlink("lab/0", dir_fd=top)
            _write(top, "lab/big", b"x" * (20 * 1024 * 1024), sync=True)


def test_deleted_space_returns_to_the_machine(disks: LabDisks) -> None:
    """`discard`: what the lab deletes, the image gives back, so forty labs need the room of what they keep."""
    disk = disks.create("one", SIZE)
    with contextlib.closing(disk), _inside(disk) as top:
        before = disk.image.stat().st_blocks
        _write(top, "lab/big", b"x" * (8 * 1024 * 1024), sync=True)
        grown = disk.image.stat().st_blocks
        assert grown - before >= 8 * 1024 * 1024 // 512
        os.unlink("lab/big", dir_fd=top)
        room = before + 1024 * 1024 // 512
        _until(lambda: disk.image.stat().st_blocks < room, "the image kept the deleted bytes")


def test_two_labs_do_not_share(disks: LabDisks) -> None:
    """Each has its own image, device and file system, although both come from one template."""
    with contextlib.closing(disks.create("one", SIZE)) as one, contextlib.closing(disks.create("two", SIZE)) as two:
        assert one.device != two.device
        with _inside(one) as top:
            _write(top, "lab/a", b"x")
        with _inside(two) as top:
            with pytest.raises(FileNotFoundError):
                os.stat("lab/a", dir_fd=top)
        assert disks.labs() == ["one", "two"]
        assert sorted(disks.attached()) == ["one", "two"]


def test_attach_finds_the_device_again(disks: LabDisks) -> None:
    """A new daemon, the lab still running: the same device and file system, never a second loop on one image."""
    first = disks.create("one", SIZE)
    with contextlib.closing(first), _inside(first) as top:
        _write(top, "lab/a", b"kept")
        again = LabDisks(disks.folder).attach("one")
        with contextlib.closing(again), _inside(again) as second_top:
            assert again.device == first.device
            with os.fdopen(os.open("lab/a", os.O_RDONLY, dir_fd=second_top), "rb") as file:
                assert file.read() == b"kept"


def test_attach_after_the_machine_went_down(disks: LabDisks) -> None:
    """Nothing holds the device any more and the file system was not unmounted cleanly: checked, mended, attached."""
    disk = disks.create("one", SIZE)
    with contextlib.closing(disk), _inside(disk) as top:
        _write(top, "lab/a", b"kept", sync=True)
        os.fsync(top)
        crashed = disk.image.read_bytes()  # as a power cut would leave it
    _until(lambda: not disks.attached(), "still attached")
    disk.image.write_bytes(crashed)
    again = disks.attach("one")
    with contextlib.closing(again), _inside(again) as top:
        with os.fdopen(os.open("lab/a", os.O_RDONLY, dir_fd=top), "rb") as file:
            assert file.read() == b"kept"


def test_a_damaged_disk_is_refused_with_words(disks: LabDisks) -> None:
    """What e2fsck cannot mend by itself is not mounted; the error says what to do."""
    disk = disks.create("one", SIZE)
    disk.close()
    _until(lambda: not disks.attached(), "still attached")
    with disk.image.open("r+b") as file:
        file.write(bytes(1024 * 1024))
    with pytest.raises(Failed, match="damaged") as caught:
        disks.attach("one")
    assert "Reset" in caught.value.hint


def test_bad_words(disks: LabDisks, tmp_path: Path) -> None:
    """Hostile ids, a disk that is there, one that is not, a full machine: each its own error, nothing left behind."""
    for lab in ("", "..", "a/b", ".template-x", "A", "x" * 41, "a\n"):
        with pytest.raises(BadInput):
            disks.create(lab, SIZE)
        with pytest.raises(BadInput):
            disks.destroy(lab)
    with pytest.raises(NotFound):
        disks.attach("nobody")
    with contextlib.closing(disks.create("one", SIZE)), pytest.raises(Conflict):
        disks.create("one", SIZE)
    with pytest.raises(Exhausted, match="MiB free"):
        LabDisks(tmp_path / "full", reserve_bytes=1 << 60).create("one", SIZE)
    assert disks.labs() == ["one"]
    disks.destroy("one")
    disks.destroy("one")


def test_a_failed_create_leaves_nothing(disks: LabDisks, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the loop device cannot be had, the image goes again."""

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(loop, "attach", refuse)
    with pytest.raises(OSError, match="no"):
        disks.create("one", SIZE)
    assert disks.labs() == []


def test_stale_devices_are_found_and_swept(disks: LabDisks, tmp_path: Path) -> None:
    """A device whose lab is no more is told from a living one's and from another engine's, and let go."""
    gone, living = disks.create("gone", SIZE), disks.create("living", SIZE)
    other = LabDisks(tmp_path / "other")
    with contextlib.closing(other.create("gone", SIZE)), contextlib.closing(living):
        disks.destroy("gone")  # the image is gone, the mount is not
        assert [found.device for found in disks.stale({"living"})] == [gone.device]
        gone.close()
        assert disks.sweep({"living"}) == []
        _until(lambda: sorted(disks.attached()) == ["living"], "the stale device is still bound")
        assert sorted(other.attached()) == ["gone"]
    _until(lambda: not other.attached(), "the other engine's device is still bound")


def test_no_ext4_tools(disks: LabDisks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without e2fsprogs the error names the package."""
    monkeypatch.setattr(template, "_FOLDERS", "/nowhere")
    with pytest.raises(Unsupported, match="e2fsprogs"):
        disks.create("one", SIZE)


def test_template_is_a_sound_ext4(tmp_path: Path) -> None:
    """A forced e2fsck of a new template finds nothing, and it takes next to no room."""
    image = template.ensure(tmp_path, 2 * 1024**3)
    done = subprocess.run([template.tool("e2fsck"), "-f", "-n", str(image)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert image.stat().st_blocks * 512 < 4 * 1024 * 1024
    assert template.ensure(tmp_path, 2 * 1024**3) == image
