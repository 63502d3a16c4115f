"""One `hako up` at a time, also when the one before was killed and its children still end."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import preflight
from engine.errors import Conflict

HOLD = "import sys; print('held', flush=True); sys.stdin.read()"
TAKE = """
import sys
from pathlib import Path
from engine import preflight
preflight.take_lock(Path(sys.argv[1]), "new")
print("taken", flush=True)
"""


def dead() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A lock file as a supervisor that was killed leaves it."""
    path = tmp_path / "up.lock"
    path.write_text(f"{dead()} http://127.0.0.1:8000/\n")
    return path


def child_that_holds(path: Path) -> subprocess.Popen[bytes]:
    """A child that was given the lock by a supervisor that is no more; it ends when its stdin is closed."""
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=-1, stdout=-1, pass_fds=(fd,))
    os.close(fd)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def test_who_comes_first_has_it_and_says_who_and_where(tmp_path: Path) -> None:
    """The second learns the process and the address of the first, at once."""
    path = tmp_path / "run/up.lock"
    held = preflight.take_lock(path, "http://127.0.0.1:8000/")
    with pytest.raises(Conflict, match=f"process {os.getpid()}, at http://127.0.0.1:8000/"):
        preflight.take_lock(path, "elsewhere")
    os.close(held)
    os.close(preflight.take_lock(path, "elsewhere"))


def test_the_children_of_one_that_was_killed_are_waited_for(path: Path) -> None:
    """The lock is taken when the last of them has ended, and meanwhile it is said what is waited for."""
    with child_that_holds(path) as child:
        assert child.stdin is not None
        taker = subprocess.Popen([sys.executable, "-c", TAKE, str(path)], stdout=-1, stderr=-1)
        with taker:
            assert taker.stdout is not None and taker.stderr is not None
            assert b"waiting for what is left" in taker.stderr.readline()
            child.stdin.close()
            assert taker.stdout.readline() == b"taken\n"


def test_children_that_do_not_end_are_named(path: Path) -> None:
    """Not for ever: the sentence says what to look for."""
    with child_that_holds(path) as child:
        assert child.stdin is not None
        with pytest.raises(Conflict, match="processes of it have not ended") as told:
            preflight.take_lock(path, "new", patience_s=0.1)
        assert "ps" in told.value.hint
        child.stdin.close()
