"""What every union driver promises, on each that this kernel can do: overlay, the copying one, AUFS where there is one,
and AUFS in user space, whose directories are in AUFS's form too.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.storage import union
from engine.storage.aufs import AufsDriver
from engine.storage.aufs_layers import translated
from engine.storage.layers import LayerStore
from engine.storage.overlay import OverlayDriver
from engine.storage.union import Change, Kind, Place, UnionDriver
from engine.storage.vfs import VfsDriver
from tests.engine.test_aufs_fuse import helper
from tests.folders import folders

pytestmark = pytest.mark.root


class FuseDriver(AufsDriver):
    """AUFS in user space behind the same contract; each mount point lies beside its upper directory."""

    name = "aufs_fuse"

    def mount(
        self,
        lower: Sequence[Place],
        upper: Place | None = None,
        work: Place | None = None,
        *,
        readonly: bool = False,
        userxattr: bool = False,
    ) -> int:
        assert isinstance(upper, Path)
        point = upper.parent / "point"
        point.mkdir()
        branches = [f"{upper}=rw", *(f"{place}=ro+wh" for place in map(translated, reversed(lower)))]
        done = helper(point, f"br={':'.join(branches)}" + (",ro" if readonly else ""))
        assert done.returncode == 0, done.stderr
        fd = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
        subprocess.run(["umount", "-l", str(point)], check=True)
        return fd


def drivers() -> list[UnionDriver]:
    """Those that can work here."""
    found: list[UnionDriver] = [OverlayDriver(), VfsDriver(), FuseDriver()]
    if "\taufs\n" in Path("/proc/filesystems").read_text():
        found.append(AufsDriver())
    return found


@pytest.fixture(params=drivers(), ids=lambda driver: driver.name)
def driver(request: pytest.FixtureRequest) -> UnionDriver:
    """Each driver."""
    made: UnionDriver = request.param
    return made


@contextlib.contextmanager
def merged(fd: int) -> Iterator[Path]:
    """A mount fd as a path that leads into it; closed at the end, which unmounts."""
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_upper_layer_wins_and_lower_stays(driver: UnionDriver, tmp_path: Path) -> None:
    """The later layer hides the earlier; writing goes to the upper directory and to no layer, and stays there."""
    low, high, upper, work = folders(tmp_path, "low", "high", "up", "wk")
    (low / "a").write_text("low")
    (low / "b").write_text("low")
    (high / "b").write_text("high")
    with merged(driver.mount([low, high], upper, work)) as top:
        assert ((top / "a").read_text(), (top / "b").read_text()) == ("low", "high")
        (top / "a").write_text("new")
        assert (top / "a").read_text() == "new"
    assert ((low / "a").read_text(), (upper / "a").read_text()) == ("low", "new")
    assert os.listdir(high) == ["b"]


def test_a_mount_made_again_shows_the_same(driver: UnionDriver, tmp_path: Path) -> None:
    """A container that is stopped and started: what was changed and deleted in the upper directory holds."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    for name in ("gone", "kept", "d/x"):
        (low / name).parent.mkdir(exist_ok=True)
        (low / name).write_text("low")
    with merged(driver.mount([low], upper, work)) as top:
        (top / "gone").unlink()
        (top / "kept").write_text("new")
        (top / "d/x").unlink()
    if (tmp_path / "point").exists():
        (tmp_path / "point").rmdir()
    with merged(driver.mount([low], upper, work)) as top:
        assert sorted(os.listdir(top)) == ["d", "kept"]
        assert ((top / "kept").read_text(), os.listdir(top / "d")) == ("new", [])


def test_readonly_with_upper(driver: UnionDriver, tmp_path: Path) -> None:
    """`--read-only`: there is an upper directory, and nothing new can be made."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    (low / "a").touch()
    with merged(driver.mount([low], upper, work, readonly=True)) as top:
        with pytest.raises(OSError, match="Read-only"):
            (top / "d").mkdir()
        assert os.listdir(top) == ["a"]


def test_metadata_comes_through(driver: UnionDriver, tmp_path: Path) -> None:
    """Mode, owner, times, links and the user's own attributes are those of the layer."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    (low / "f").write_text("x")
    (low / "f").chmod(0o4711)
    os.chown(low / "f", 12, 34)
    (low / "f").chmod(0o4711)
    os.setxattr(low / "f", "user.colour", b"red")
    (low / "link").symlink_to("f")
    (low / "d").mkdir(mode=0o700)
    for name in ("f", "d"):
        os.utime(low / name, ns=(10**18, 10**18))
    with merged(driver.mount([low], upper, work)) as top:
        seen = (top / "f").stat()
        assert (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid, seen.st_mtime_ns) == (0o4711, 12, 34, 10**18)
        assert (os.getxattr(top / "f", "user.colour"), os.readlink(top / "link")) == (b"red", "f")
        seen = (top / "d").stat()
        assert (seen.st_mode & 0o7777, seen.st_mtime_ns) == (0o700, 10**18)


def test_changes_and_diff(driver: UnionDriver, tmp_path: Path) -> None:
    """What was changed, in Docker's terms; and as a layer, which a plain store unpacks to the same tree."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    for name in ("gone", "kept", "d/old", "e/x"):
        (low / name).parent.mkdir(exist_ok=True)
        (low / name).write_text("low")
    with merged(driver.mount([low], upper, work)) as top:
        for name in ("gone", "d/old", "e/x"):
            (top / name).unlink()
        (top / "e").rmdir()
        (top / "e").mkdir()
        (top / "d/new").write_text("new")
        (top / "kept").write_text("other")
        shown = {str(path.relative_to(top)) for path in top.rglob("*")}
    changes = list(driver.changes([low], upper))
    assert [one for one in changes if one.path.rpartition("/")[0] in ("", "/d")] == [
        Change("/d", Kind.MODIFIED),
        Change("/d/new", Kind.ADDED),
        Change("/d/old", Kind.DELETED),
        Change("/e", Kind.MODIFIED),
        Change("/gone", Kind.DELETED),
        Change("/kept", Kind.MODIFIED),
    ]
    out = io.BytesIO()
    entries = driver.diff([low], upper, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        names = tar.getnames()
    assert len(names) == entries and {"d/new", "d/.wh.old", ".wh.gone", "kept"} <= set(names)
    assert not [name for name in names if name.split("/")[-1].startswith(".wh..wh.") and not name.endswith("opq")]
    out.seek(0)
    layer = LayerStore(tmp_path / "layers").add_tar(out).path
    with merged(OverlayDriver().mount([low, layer])) as again:
        assert {str(path.relative_to(again)) for path in again.rglob("*")} == shown


def test_whiteouts_of_layers_count(driver: UnionDriver, tmp_path: Path) -> None:
    """A layer of an image deletes a file and a directory's content of those below it."""
    (low, upper, work) = folders(tmp_path, "low", "up", "wk")
    for name in ("gone", "d/old"):
        (low / name).parent.mkdir(exist_ok=True)
        (low / name).touch()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("d/new", "d/.wh..wh..opq", ".wh.gone"):
            tar.addfile(tarfile.TarInfo(name))
    data.seek(0)
    layer = LayerStore(tmp_path / "layers").add_tar(data).path
    with merged(driver.mount([low, layer], upper, work)) as top:
        assert (os.listdir(top), os.listdir(top / "d")) == (["d"], ["new"])


def test_vfs_begins_a_copy_again_that_was_cut_short(tmp_path: Path) -> None:
    """Half a copy is thrown away; what another driver left is not touched."""
    low, upper, work = folders(tmp_path, "low", "up", "wk")
    (low / "a").write_text("low")
    (upper / "half").touch()
    (upper / "half-dir").mkdir()
    with pytest.raises(OSError, match="another driver"):
        VfsDriver().mount([low], upper, work)
    (work / "vfs-begun").touch()
    os.close(VfsDriver().mount([low], upper, work))
    assert os.listdir(upper) == ["a"]


def test_choose_takes_the_first_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without overlay and AUFS the copying driver is left, and the reasons of the others are kept."""
    monkeypatch.setattr(OverlayDriver, "supported", lambda self, backing: union.Verdict(False, "taken away"))
    monkeypatch.setattr(AufsDriver, "supported", lambda self, backing: union.Verdict(False, "not there"))
    chosen, verdicts = union.choose(tmp_path)
    assert (chosen.name, list(verdicts)) == ("vfs", ["overlay", "aufs", "vfs"])
    assert verdicts["overlay"].reason == "taken away"
