"""AUFS over FUSE on the real kernel: mounted, written to by real programs, its branches changed while it is mounted."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.engines import ROOT

pytestmark = pytest.mark.root

HELPER = [sys.executable, "-m", "engine.storage.aufs_fuse.helper", "none"]


def helper(directory: Path, options: str) -> subprocess.CompletedProcess[str]:
    """What mount(8) would run for `mount -t aufs -o OPTIONS none DIRECTORY`."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = [*HELPER, str(directory), "-o", options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def union(tmp_path: Path) -> Iterator[Path]:
    """A union of a writable and a read-only branch, mounted."""
    for name in ("rw", "ro/d", "disc", "union"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ro/f").write_text("low\n")
    (tmp_path / "ro/d/x").write_text("x")
    (tmp_path / "disc/on-disc").write_text("disc")
    mounted = helper(tmp_path / "union", f"br={tmp_path}/rw=rw:{tmp_path}/ro=ro")
    assert mounted.returncode == 0, mounted.stderr
    yield tmp_path / "union"
    subprocess.run(["umount", str(tmp_path / "union")], check=True)


def test_marks_and_copy_up(union: Path) -> None:
    """Appending copies up, deleting writes a whiteout, a directory made anew is opaque; the lower branch is
    untouched."""
    with (union / "f").open("a") as file:
        file.write("more\n")
    (union / "d/x").unlink()
    (union / "d").rmdir()
    (union / "d").mkdir()
    upper = union.parent / "rw"
    assert (upper / "f").read_text() == "low\nmore\n"
    assert os.listdir(upper / "d") == [".wh..wh..opq"]
    assert sorted(os.listdir(union)) == ["d", "f"]
    assert os.listdir(union / "d") == []
    assert (union.parent / "ro/f").read_text() == "low\n"
    assert (union.parent / "ro/d/x").read_text() == "x"


def test_branches_come_and_go(union: Path) -> None:
    """A remount adds and deletes branches; one that cannot be is said in words, and changes nothing."""
    disc = union.parent / "disc"
    assert helper(union, f"remount,append={disc}=rr").returncode == 0
    assert (union / "on-disc").read_text() == "disc"
    refused = helper(union, "remount,del=/nowhere")
    assert refused.returncode == 32
    assert "/nowhere is not a branch" in refused.stderr
    assert helper(union, f"remount,del={disc}").returncode == 0
    assert not (union / "on-disc").exists()


def test_open_files_outlive_their_names(union: Path) -> None:
    """A file that was deleted while open can still be read and written."""
    with (union / "gone").open("w+") as file:
        file.write("still")
        file.flush()
        (union / "gone").unlink()
        file.seek(0)
        assert file.read() == "still"
    assert "gone" not in os.listdir(union)


def test_memory_map(union: Path) -> None:
    """What is written through a memory map is in the file, and only in the upper branch."""
    fd = os.open(union / "f", os.O_RDWR)
    with mmap.mmap(fd, 3) as memory:
        memory[:] = b"LOW"
        memory.flush()
    os.close(fd)
    assert (union / "f").read_text() == "LOW\n"
    assert (union.parent / "ro/f").read_text() == "low\n"


def test_a_real_program(union: Path) -> None:
    """git makes a repository, commits and checks its own objects, on top of the union."""
    script = (
        "git init -q . && cp -r /etc/apt . 2>/dev/null; echo hi > a && git add -A && git -c user.name=a -c"
        " user.email=a@example.org commit -qm first && git mv a b && git -c user.name=a -c user.email=a@example.org"
        " commit -qm second && git fsck --strict 2>&1 && git log --format=%s"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(union), "GIT_CONFIG_NOSYSTEM": "1"}
    (union / "work").mkdir()
    command = ["sh", "-c", script]
    done = subprocess.run(
        command, cwd=union / "work", env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == ["second", "first"]


@pytest.mark.parametrize("options", ["", "br=relative", "br=/nowhere/at/all=rw", "colour=red"])
def test_wrong_use_is_a_sentence(tmp_path: Path, options: str) -> None:
    """A mistake gives one sentence and mount(8)'s exit status, and mounts nothing."""
    done = helper(tmp_path, options)
    assert done.returncode == 32
    assert done.stderr.startswith("mount.aufs: ")
    assert "Traceback" not in done.stderr
    assert not os.path.ismount(tmp_path)
