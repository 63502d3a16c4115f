"""The kernel's AUFS, asked by a recorded kernel: mount strings, remounts, what is found in its directories."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linux import syscalls
from engine.storage import aufs
from engine.storage.aufs import AufsDriver, Kernel, option_pages
from engine.storage.aufs_layers import translated
from engine.storage.union import Change, Kind
from tests.folders import folders


class Recorded(Kernel):
    """Writes down what it is asked; a mount is a copy of nothing."""

    def __init__(self, known: str = "nodev\taufs\n", *, mapped: bool = False, backing: str = "ext4") -> None:
        self.calls: list[tuple[object, ...]] = []
        self.known, self.is_mapped, self.lies_on = known, mapped, backing
        self.busy = 0

    def filesystems(self) -> str:
        return self.known

    def mapped(self) -> bool:
        return self.is_mapped

    def backing(self, path: Path) -> str:
        return self.lies_on

    def mount(self, target: str, flags: int, data: str) -> None:
        self.calls.append(("mount", flags, data))
        if data.startswith("br:"):
            self.upper = data[3:].partition("=")[0]

    def copy(self, path: str) -> int:
        self.calls.append(("copy",))
        return os.open(path, os.O_RDONLY)

    def restrict(self, fd: int) -> None:
        self.calls.append(("ro",))

    def unmount(self, target: str, flags: int) -> None:
        self.calls.append(("umount", flags))
        if self.busy:
            self.busy -= 1
            raise OSError(errno.EBUSY, "busy")

    def flush(self, target: str) -> None:
        self.calls.append(("flush", target))


def test_a_mount_as_the_talk_writes_it(tmp_path: Path) -> None:
    """The upper directory first and writable, then the layers from the top down; mounted aside, taken, unmounted."""
    low, high, up, work = folders(tmp_path, "low", "high", "up", "wk")
    kernel = Recorded()
    os.close(AufsDriver(kernel).mount([low, high], up, work))
    (name, flags, data), *rest = kernel.calls
    assert (name, flags) == ("mount", 0)
    assert str(data).startswith(f"br:{up}=rw:{high}=ro+wh:{low}=ro+wh,dio,dirperm1,xino=/dev/shm/.hako-")
    assert rest == [("copy",), ("umount", syscalls.MNT_DETACH)]
    kernel.calls.clear()
    os.close(AufsDriver(kernel).mount([low], up, work, readonly=True))
    assert kernel.calls[-1] == ("ro",)
    kernel.calls.clear()
    os.close(AufsDriver(kernel).mount([low, high]))
    assert kernel.calls[0][1] == syscalls.MS_RDONLY and str(kernel.calls[0][2]).startswith(f"br:{high}=ro+wh:")


def test_what_does_not_fit_a_page_is_appended(tmp_path: Path) -> None:
    """A hundred layers with long names: no option string passes a page, and their order is kept."""
    layers = folders(tmp_path, *(f"{'x' * 90}{number:03}" for number in range(100)))
    up, work = folders(tmp_path, "up", "wk")
    kernel = Recorded()
    os.close(AufsDriver(kernel).mount(layers, up, work))
    told = [str(call[2]) for call in kernel.calls if call[0] == "mount"]
    flags = [call[1] for call in kernel.calls if call[0] == "mount"]
    assert flags == [0, *[syscalls.MS_REMOUNT] * (len(told) - 1)] and len(told) > 2
    assert all(len(text) <= aufs.PAGE_BYTES for text in told)
    assert all(text.startswith("append:") for text in told[1:])


names = st.text(st.characters(blacklist_characters=":,=\\\0", blacklist_categories=("Cs",)), min_size=1, max_size=300)


@given(st.one_of(st.none(), names), st.lists(names, min_size=1, max_size=60))
def test_pages_hold_every_branch_once_in_order(upper: str | None, lower: list[str]) -> None:
    """Whatever the names: read back, the pages give the branches."""
    first, *more = option_pages(upper, lower, "/x")
    read = first.partition(",dio,")[0].removeprefix("br:").split(":")
    for page in more:
        read += [word.removeprefix("append:") for word in page.split(",")]
    assert read == [*([f"{upper}=rw"] if upper is not None else []), *(f"{name}=ro+wh" for name in lower)]
    assert all(len(os.fsencode(page)) <= aufs.PAGE_BYTES for page in (first, *more))


def test_a_branch_longer_than_a_page_is_an_error() -> None:
    """Not a string that the kernel cuts."""
    with pytest.raises(OSError, match="does not fit"):
        option_pages("/rw", ["x" * 5000], "/x")


def test_names_that_would_end_an_option_go_by_their_fd(tmp_path: Path) -> None:
    """AUFS knows no escapes, so a colon or a comma must not reach it."""
    (odd, up, work) = folders(tmp_path, "a:b,c=d", "up", "wk")
    kernel = Recorded()
    os.close(AufsDriver(kernel).mount([odd], up, work))
    assert ":/proc/self/fd/" in str(kernel.calls[0][2]) and "a:b" not in str(kernel.calls[0][2])


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (Recorded("nodev\toverlay\n"), "no AUFS"),
        (Recorded(mapped=True), "user namespace"),
        (Recorded(backing="overlay"), "lies on overlay"),
        (Recorded(backing="fuse.x"), "lies on fuse.x"),
        (Recorded(), "could not be deleted"),  # the recorded kernel shows nothing
    ],
)
def test_why_it_cannot_be_used(kernel: Recorded, reason: str, tmp_path: Path) -> None:
    """Each reason is a sentence for the doctor, and nothing is left behind."""
    verdict = AufsDriver(kernel).supported(tmp_path)
    assert not verdict.ok and reason in verdict.reason
    assert os.listdir(tmp_path) == []


def test_unmount_flushes_and_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pseudo-links are written down once, EBUSY is tried again, and told in the end."""
    monkeypatch.setattr(aufs, "BUSY_S", 0.0)
    kernel = Recorded()
    kernel.busy = 2
    AufsDriver(kernel).unmount(Path("/merged"))
    assert kernel.calls == [("flush", "/merged"), *[("umount", 0)] * 3]
    kernel.busy = 9
    with pytest.raises(OSError, match="busy"):
        AufsDriver(kernel).unmount(Path("/merged"))


def test_changes_and_diff_of_an_upper_directory(tmp_path: Path) -> None:
    """AUFS's own names are passed over; marks are what they mean, and in a layer what they are."""
    low, up = folders(tmp_path, "low", "up")
    folders(up, ".wh..wh.plnk", ".wh..wh.orph", "d", "e")
    folders(low, "d", "e")
    for path in (".wh..wh.aufs", ".wh..wh.plnk/1.2", "d/new", "d/.wh.old", "e/.wh..wh..opq", ".wh.gone", "kept"):
        (up / path).touch()
    for path in ("d/old", "gone", "kept"):
        (low / path).touch()
    assert list(AufsDriver().changes([low], up)) == [
        Change("/d", Kind.MODIFIED),
        Change("/d/new", Kind.ADDED),
        Change("/d/old", Kind.DELETED),
        Change("/e", Kind.MODIFIED),
        Change("/gone", Kind.DELETED),
        Change("/kept", Kind.MODIFIED),
    ]
    out = io.BytesIO()
    AufsDriver().diff([low], up, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert sorted(tar.getnames()) == [".", ".wh.gone", "d", "d/.wh.old", "d/new", "e", "e/.wh..wh..opq", "kept"]


def test_a_layer_without_marks_is_its_own_translation(tmp_path: Path) -> None:
    """Nothing is made beside it."""
    (layer,) = folders(tmp_path, "fs")
    (layer / "f").touch()
    assert translated(layer) == layer
    assert os.listdir(tmp_path) == ["fs"]
