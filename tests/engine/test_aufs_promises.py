"""What is promised of AUFS in user space, each on a real mount: many branches, policies, branches that come, go and
vanish, a full branch, names of marks, listings that stay stable, files open while they are copied up.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.engines import ROOT
from tests.engine.test_aufs_fuse import helper
from tests.folders import folders

pytestmark = pytest.mark.root


@contextmanager
def mounted(top: Path, options: str) -> Iterator[Path]:
    """A union with these options at `top`/union; the branches are there already."""
    point = top / "union"
    point.mkdir()
    done = helper(point, options)
    assert done.returncode == 0, done.stderr
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def br(*branches: tuple[Path, str]) -> str:
    """The option that names these."""
    return "br=" + ":".join(f"{path}={mode}" for path, mode in branches)


def seen(text: Path) -> list[str]:
    """Names of a directory but those of marks."""
    return sorted(name for name in os.listdir(text) if not name.startswith(".wh."))


def test_127_branches_and_not_200(tmp_path: Path) -> None:
    """As many as AUFS is usually built for work, the lowest shows through; more are refused in one sentence."""
    branches = folders(tmp_path, *(f"b{number}" for number in range(200)))
    for number, path in enumerate(branches):
        (path / f"f{number}").write_text(str(number))
        (path / "same").write_text(str(number))
    modes = [(path, "ro+wh" if number else "rw") for number, path in enumerate(branches)]
    with mounted(tmp_path, br(*modes[:127])) as union:
        assert len(os.listdir(union)) == 128
        assert ((union / "f126").read_text(), (union / "same").read_text()) == ("126", "0")
        (union / "f126").unlink()
        assert (branches[0] / ".wh.f126").exists() and not (union / "f126").exists()
        refused = helper(union, f"remount,append:{branches[127]}=ro")
        assert (refused.returncode, "128 branches are too many" in refused.stderr) == (32, True)
        assert len(os.listdir(union)) == 127
    refused = helper(tmp_path, br(*modes))
    assert (refused.returncode, refused.stderr) == (32, "mount.aufs: 200 branches are too many. AUFS takes 127.\n")


def test_each_remount_word_does_what_it_says(tmp_path: Path) -> None:
    """add, append, prepend, mod and del, alone and together; what shows changes at once."""
    rw, a, b, c, d = folders(tmp_path, "rw", "a", "b", "c", "d")
    for path in (a, b, c, d):
        (path / "who").write_text(path.name)
        (path / path.name).touch()
    with mounted(tmp_path, br((rw, "rw"), (a, "ro"))) as union:

        def after(words: str) -> tuple[str, list[str]]:
            assert helper(union, f"remount,{words}").returncode == 0
            return (union / "who").read_text(), seen(union)

        assert after(f"append:{b}=ro") == ("a", ["a", "b", "who"])
        assert after(f"add:1:{c}=ro") == ("c", ["a", "b", "c", "who"])
        assert after(f"prepend:{d}=ro") == ("d", ["a", "b", "c", "d", "who"])
        assert after(f"del:{d},del:{c}") == ("a", ["a", "b", "who"])
        assert after(f"mod:{rw}=ro") == ("a", ["a", "b", "who"])
        with pytest.raises(OSError, match="Read-only"):
            (union / "new").touch()
        assert after(f"mod:{rw}=rw") == ("a", ["a", "b", "who"])
        (union / "new").touch()
        assert (rw / "new").exists()


def test_where_new_files_go(tmp_path: Path) -> None:
    """tdp: the topmost branch with the parent; rr: in turn; mfs: the one with the most room."""
    for policy in ("tdp", "rr", "mfs"):
        one, two, low = folders(tmp_path / policy, "one", "two/sub", "low/sub")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(one)], check=True)
        try:
            branches = br((one, "rw"), (two.parent, "rw"), (low.parent, "ro"))
            with mounted(tmp_path / policy, f"{branches},create={policy}") as union:
                for number in range(4):
                    (union / f"sub/{number}").touch()
                there = [sorted(p.name for p in path.rglob("[0-9]")) for path in (one, two)]
            assert there == ([["0", "2"], ["1", "3"]] if policy == "rr" else [[], ["0", "1", "2", "3"]]), policy
        finally:
            subprocess.run(["umount", str(one)], check=True)


def test_a_branch_that_vanishes_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Removed below us, a branch shows nothing and takes nothing; the others are read, and written to."""
    first, second, low = folders(tmp_path, "first", "second", "low")
    (low / "f").write_text("low")
    with mounted(tmp_path, br((first, "rw"), (second, "rw"), (low, "ro"))) as union:
        (union / "mine").write_text("x")
        subprocess.run(["rm", "-r", str(first)], check=True)
        assert seen(union) == ["f"]
        (union / "new").write_text("in the second")
        with (union / "f").open("a") as file:
            file.write("er")
        assert ((second / "new").read_text(), (second / "f").read_text()) == ("in the second", "lower")
        subprocess.run(["rm", "-r", str(second)], check=True)
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            (union / "other").touch()
        assert (union / "f").read_text() == "low"
        assert helper(union, f"remount,del:{first},del:{second}").returncode == 0
        third = folders(tmp_path, "third")[0]
        assert helper(union, f"remount,prepend:{third}=rw").returncode == 0
        (union / "other").touch()
        assert (third / "other").exists()


def test_a_full_branch_loses_nothing(tmp_path: Path) -> None:
    """ENOSPC is what the program gets; a copy-up that does not fit leaves no half, a file whose mark does not fit
    stays, and with room again all goes on."""
    small, low = folders(tmp_path, "small", "low")
    (low / "big").write_bytes(b"x" * (2 << 20))
    (low / "f").write_text("low")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=4", "tmpfs", str(small)], check=True)
    try:
        with mounted(tmp_path, br((small, "rw"), (low, "ro"))) as union:
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                (union / "big").open("ab")
            assert os.listdir(small) == []
            assert (union / "big").stat().st_size == 2 << 20
            for name in "abc":
                (union / name).touch()
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                (union / "f").unlink()
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                (union / "f").rename(union / "g")
            assert (union / "f").read_text() == "low" and seen(union) == ["a", "b", "big", "c", "f"]
            (union / "a").unlink()
            (union / "f").unlink()
            assert seen(union) == ["b", "big", "c"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_no_name_of_a_mark_can_be_made(tmp_path: Path) -> None:
    """By no call: such a file would delete another. One that lies in a branch does not show."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").touch()
    (low / ".wh.stray").touch()
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        bad = union / ".wh.f"
        calls = (
            lambda: bad.touch(),
            lambda: bad.mkdir(),
            lambda: bad.symlink_to("f"),
            lambda: os.mkfifo(bad),
            lambda: (union / "f").rename(bad),
            lambda: os.link(union / "f", bad),
            lambda: (union / ".wh..wh..opq").touch(),
        )
        for number, call in enumerate(calls):
            with pytest.raises(PermissionError):
                call()
            assert os.listdir(union) == ["f"], number
        assert seen(rw) in ([], ["f"]) and not (rw / ".wh.f").exists()
        assert not (union / ".wh.stray").exists()
        with pytest.raises(FileNotFoundError):
            (union / ".wh.stray/x").touch()


def test_a_listing_is_stable_while_it_changes(tmp_path: Path) -> None:
    """Whatever stays in a directory while it is read is told once, whatever comes and goes beside it."""
    rw, low = folders(tmp_path, "rw", "low")
    for number in range(3000):
        (low / f"stays{number:04}").touch()
        if number % 10 == 0:
            (low / f"goes{number:04}").touch()
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        told = []
        with os.scandir(union) as entries:
            for count, entry in enumerate(entries):
                told.append(entry.name)
                if count % 20 == 0:
                    (union / f"new{count:04}").touch()
                    (union / f"goes{count * 10 % 3000:04}").unlink(missing_ok=True)
        stayed = [name for name in told if name.startswith("stays")]
        assert len(stayed) == len(set(stayed)) == 3000
        assert len(told) == len(set(told))


def test_open_files_see_what_is_written_after_a_copy_up(tmp_path: Path) -> None:
    """Who has a lower file open, or mapped, reads the copy from then on, as in one file system."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").write_bytes(b"a" * 100_000)
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union, (union / "f").open("rb", buffering=0) as early:
        assert early.read(3) == b"aaa"
        with mmap.mmap(early.fileno(), 0, prot=mmap.PROT_READ) as memory:
            with (union / "f").open("r+b", buffering=0) as late:
                late.write(b"bcd")
                late.seek(90_000)
                late.write(b"z" * 20_000)
            assert os.pread(early.fileno(), 3, 0) == b"bcd"
            assert os.pread(early.fileno(), 3, 109_990) == b"zzz"
            assert (memory[0:3], memory[50_000:50_003], memory[90_000:90_003]) == (b"bcd", b"aaa", b"zzz")
        assert os.fstat(early.fileno()).st_size == 110_000
    assert (low / "f").read_bytes() == b"a" * 100_000


def test_a_mapping_that_is_written_to(tmp_path: Path) -> None:
    """A shared writable mapping of a copied-up file ends in the upper branch, a private one nowhere."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").write_bytes(b"a" * 8192)
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        with (union / "f").open("r+b") as file:
            with mmap.mmap(file.fileno(), 0) as memory:
                memory[4096:4100] = b"WXYZ"
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as memory:
                memory[0:4] = b"none"
    assert (rw / "f").read_bytes()[4094:4102] == b"aaWXYZaa"
    assert (rw / "f").read_bytes()[:4] == b"aaaa"
    assert (low / "f").read_bytes() == b"a" * 8192


def test_a_deleted_file_lives_while_it_is_open(tmp_path: Path) -> None:
    """Also one of a lower branch, also when it was replaced by rename; fchmod and ftruncate go to the open one."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").write_text("lower")
    (low / "g").write_text("other")
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        with (union / "f").open("r+") as mine, (union / "g").open() as other:
            (union / "f").unlink()
            (union / "new").write_text("new")
            (union / "new").rename(union / "g")
            mine.write("LOW")
            mine.flush()
            os.ftruncate(mine.fileno(), 4)
            os.fchmod(mine.fileno(), 0o604)
            os.utime(mine.fileno(), ns=(10**18, 10**18))
            mine.seek(0)
            assert (mine.read(), other.read()) == ("LOWe", "other")
            status = os.fstat(mine.fileno())
            assert (status.st_size, status.st_mode & 0o777, status.st_mtime_ns) == (4, 0o604, 10**18)
            assert seen(union) == ["g"] and os.fstat(other.fileno()).st_size == 5
        assert ((union / "g").read_text(), seen(union)) == ("new", ["g"])
        assert sorted(os.listdir(rw)) == [".wh.f", "g"]


def test_times_and_owners(tmp_path: Path) -> None:
    """touch(1) means now, one time alone leaves the other, chown(1) of one id leaves the other, also of a link."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").touch()
    (low / "link").symlink_to("f")
    os.utime(low / "f", ns=(10**18, 10**18))
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        began = (rw / "..").resolve().stat().st_mtime_ns - 10**9
        subprocess.run(["touch", "-m", str(union / "f")], check=True)
        assert (union / "f").stat().st_atime_ns == 10**18 and (union / "f").stat().st_mtime_ns > began
        os.chown(union / "f", 12, -1)
        os.chown(union / "link", -1, 34, follow_symlinks=False)
        assert ((rw / "f").stat().st_uid, (rw / "f").stat().st_gid) == (12, (low / "f").stat().st_gid)
        assert (os.lstat(rw / "link").st_gid, os.readlink(union / "link")) == (34, "f")


def test_a_copy_up_is_no_change_of_its_directory(tmp_path: Path) -> None:
    """Directories come up with mode, owner, attributes and times, and keep these while a file in them comes up."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "a/b").mkdir(parents=True)
    (low / "a/b/f").write_text("x")
    os.chown(low / "a/b", 12, 34)
    (low / "a/b").chmod(0o2751)
    os.setxattr(low / "a/b", "user.colour", b"red")
    for path in ("a/b", "a"):
        os.utime(low / path, ns=(10**18, 10**18))
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        top = union.stat().st_mtime_ns
        with (union / "a/b/f").open("a") as file:
            file.write("y")
        assert (rw / "a/b/f").read_text() == "xy"
        seen = (union / "a/b").stat()
        assert (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid) == (0o2751, 12, 34)
        assert os.getxattr(rw / "a/b", "user.colour") == b"red"
        assert [(union / path).stat().st_mtime_ns for path in ("a", "a/b")] == [10**18, 10**18]
        assert union.stat().st_mtime_ns == top
        (union / "a/b/new").touch()
        assert (union / "a/b").stat().st_mtime_ns != 10**18


def test_a_rename_that_must_not_replace(tmp_path: Path) -> None:
    """mv(1) --no-clobber asks for RENAME_NOREPLACE: EEXIST, and both stay."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").write_text("f")
    (low / "g").write_text("g")
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        libc = ctypes.CDLL(None, use_errno=True)
        old, new = (os.fsencode(union / name) for name in "fg")
        assert libc.renameat2(-100, old, -100, new, 1) == -1
        assert (ctypes.get_errno(), (union / "g").read_text()) == (errno.EEXIST, "g")
        assert libc.renameat2(-100, old, -100, new, 2) == -1  # RENAME_EXCHANGE is not there
        assert libc.renameat2(-100, old, -100, os.fsencode(union / "h"), 1) == 0
        assert seen(union) == ["g", "h"]


def test_links_and_attributes_come_along(tmp_path: Path) -> None:
    """A hard link to a lower file is made after a copy-up, both names are one file; symbolic links and xattrs are
    kept."""
    rw, low = folders(tmp_path, "rw", "low")
    (low / "f").write_text("x")
    os.setxattr(low / "f", "user.colour", b"red")
    (low / "link").symlink_to("f")
    os.chown(low / "link", 12, 34, follow_symlinks=False)
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        os.link(union / "f", union / "second")
        with (union / "second").open("a") as file:
            file.write("y")
        assert ((union / "f").read_text(), (union / "f").stat().st_nlink) == ("xy", 2)
        assert (rw / "f").stat().st_ino == (rw / "second").stat().st_ino
        assert os.getxattr(union / "second", "user.colour") == b"red"
        os.setxattr(union / "f", "user.shape", b"round", os.XATTR_CREATE)
        with pytest.raises(FileExistsError):
            os.setxattr(union / "f", "user.shape", b"square", os.XATTR_CREATE)
        os.removexattr(union / "f", "user.colour")
        assert os.listxattr(union / "f") == ["user.shape"]
        (union / "link").rename(union / "moved")
        assert (os.readlink(rw / "moved"), os.lstat(rw / "moved").st_uid) == ("f", 12)
        assert (union / "moved").read_text() == "xy"


@pytest.mark.slow
def test_a_program_of_some_size_is_built_inside(tmp_path: Path) -> None:
    """Python's own library, its sources in a read-only branch, is compiled in the union and then run from it; a C
    program is built by gcc. Both give the bytes they give in a plain directory."""
    low, rw, plain = folders(tmp_path, "low", "rw", "plain")
    library = Path(sysconfig.get_path("stdlib"))
    for package in ("asyncio", "collections", "concurrent", "email", "importlib", "json", "re", "unittest", "urllib"):
        for top in (low, plain):
            subprocess.run(["cp", "-rL", str(library / package), str(top)], check=True)
            subprocess.run(["find", str(top), "-name", "__pycache__", "-exec", "rm", "-r", "{}", "+"], check=True)
    for top in (low, plain):
        (top / "now.c").write_bytes((ROOT / "tests/bench/now.c").read_bytes())
    compiling = [sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s"]
    with mounted(tmp_path, br((rw, "rw"), (low, "ro"))) as union:
        built = []
        for top in (union, plain):
            subprocess.run([*compiling, str(top), "-p", "/", str(top)], check=True)
            subprocess.run(["gcc", "-O1", "-o", "now", "now.c"], cwd=top, check=True)
            assert subprocess.run([str(top / "now")], capture_output=True, check=True).stdout.strip().isdigit()
            files = [path for path in sorted(top.rglob("*")) if path.is_file()]
            built.append({str(path.relative_to(top)): path.read_bytes() for path in files})
        assert built[0] == built[1] and len(built[0]) > 200
        script = f"import sys; sys.path.insert(0, {str(union)!r}); import asyncio, email; print(asyncio.__file__)"
        done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(str(union))
    assert not list(low.rglob("*.pyc")) and len(list(rw.rglob("*.pyc"))) > 100
