"""AUFS's option syntax, branches that come and go, and the marks on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.errors import BadInput, Conflict, Exhausted, NotFound
from engine.storage.aufs_fuse import marks, options
from engine.storage.aufs_fuse.filesystem import FileSystem


def paths(text: options.Options) -> list[str]:
    """The branches as they are written."""
    return [str(branch) for branch in text.branches]


def test_the_talks_own_words() -> None:
    """The first branch is writable and the others are not, unless it is said."""
    assert paths(options.parse("br=/rw:/a:/b=ro+wh")) == ["/rw=rw", "/a=ro", "/b=ro+wh"]
    assert paths(options.parse("dirs=/rw=rw:/cd=rr,xino=/tmp/x,create=mfs")) == ["/rw=rw", "/cd=rr"]
    assert paths(options.parse("br:/rw=rw:/a=ro")) == ["/rw=rw", "/a=ro"]


@pytest.mark.parametrize(
    "text",
    ["", "br=", "br=relative", "br=/a=rx", "br=/a=ro+xx", "br=/a:/a", "br=/a,colour=red", "append=/b"],
)
def test_what_is_no_mount(text: str) -> None:
    """Each mistake is said, and nothing is mounted."""
    with pytest.raises(BadInput):
        options.parse(text)


def test_too_many_branches() -> None:
    """127 branches are the most."""
    assert len(options.parse("br=" + ":".join(f"/b{number}" for number in range(127))).branches) == 127
    with pytest.raises(Exhausted):
        options.parse("br=" + ":".join(f"/b{number}" for number in range(200)))


def test_remount_changes_branches() -> None:
    """Branches are added at the top, the bottom and between, changed and deleted; all of it or nothing."""
    union = options.parse("br=/rw=rw:/a=ro")
    union = options.remount(union, "remount,append=/z=ro,prepend=/t=rw,add:1:/m=ro+wh,mod:/rw=ro,del:/a")
    assert paths(union) == ["/t=rw", "/m=ro+wh", "/rw=ro", "/z=ro"]
    with pytest.raises(NotFound):
        options.remount(union, "append=/y,del:/nowhere")
    with pytest.raises(Conflict):
        options.remount(options.parse("br=/only"), "del:/only")
    with pytest.raises(BadInput):
        options.remount(union, "add:9:/x")


def test_marks_on_disk(tmp_path: Path) -> None:
    """Deleting writes `.wh.x` above, and a directory made anew is opaque; the lower branch is as it was."""
    for name in ("rw", "ro/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ro/x").write_text("below")
    (tmp_path / "ro/d/old").write_text("below")
    union = FileSystem(options.parse(f"br={tmp_path}/rw=rw:{tmp_path}/ro=ro"))
    union.unlink("x")
    union.unlink("d/old")
    union.rmdir("d")
    assert sorted(os.listdir(tmp_path / "rw")) == [".wh.d", ".wh.x"]
    assert union.listdir("") == []
    union.mkdir("d", 0o755)
    assert os.listdir(tmp_path / "rw/d") == [marks.OPAQUE]
    assert union.listdir("d") == []
    assert (tmp_path / "ro/d/old").read_text() == "below"
    union.close()


def test_branches_while_mounted(tmp_path: Path) -> None:
    """A branch that is added shows at once, one that is deleted is gone; one that is not there changes nothing."""
    for name in ("rw", "a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in-{name}").write_text(name)
    union = FileSystem(options.parse(f"br={tmp_path}/rw=rw:{tmp_path}/a=ro"))
    union.remount(f"append={tmp_path}/b=ro")
    assert union.listdir("") == ["in-a", "in-b", "in-rw"]
    union.remount(f"del:{tmp_path}/a")
    assert union.listdir("") == ["in-b", "in-rw"]
    with pytest.raises(BadInput, match="nowhere"):
        union.remount(f"append={tmp_path}/nowhere")
    assert union.listdir("") == ["in-b", "in-rw"]
    union.close()


def test_a_mark_is_no_file(tmp_path: Path) -> None:
    """A file whose name begins with `.wh.` cannot be made, and one on disk does not show."""
    (tmp_path / ".wh.x").write_text("")
    union = FileSystem(options.parse(f"br={tmp_path}=rw"))
    with pytest.raises(OSError, match=os.strerror(errno.EPERM)):
        union.create(".wh.y", 0o644)
    assert union.listdir("") == []
    union.close()


def test_read_only_everywhere(tmp_path: Path) -> None:
    """Without a writable branch nothing can be changed: EROFS."""
    (tmp_path / "f").write_text("x")
    union = FileSystem(options.parse(f"br={tmp_path}=ro"))
    for change in (lambda: union.unlink("f"), lambda: union.chmod("f", 0o600), lambda: union.create("g", 0o644)):
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            change()
    union.close()


def test_copy_up_keeps_everything(tmp_path: Path) -> None:
    """Mode, owner, times and attributes come along; the file below stays."""
    for name in ("rw", "ro/deep"):
        (tmp_path / name).mkdir(parents=True)
    low = tmp_path / "ro/deep/f"
    low.write_text("content")
    low.chmod(0o640)
    os.setxattr(low, "user.colour", b"red")
    os.utime(low, ns=(10**18, 10**18))
    union = FileSystem(options.parse(f"br={tmp_path}/rw=rw:{tmp_path}/ro=ro"))
    union.setxattr("deep/f", "user.shape", b"round", 0)
    high = tmp_path / "rw/deep/f"
    assert high.read_text() == "content"
    assert (high.stat().st_mode, high.stat().st_mtime_ns) == (low.stat().st_mode, 10**18)
    assert os.getxattr(high, "user.colour") == b"red"
    assert os.listxattr(low) == ["user.colour"]
    union.close()
