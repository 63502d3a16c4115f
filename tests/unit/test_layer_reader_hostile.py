"""What a learner's process shows of its descriptors is looked at without being opened, and no look is without end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.observe import layer_reader
from engine.observe.layer_reader import _Budget, _read_told
from engine.observe.layers import Change, LayerFile, Tree
from engine.storage.aufs_fuse import state

LOOK = """
import os, sys
from engine.observe.layer_reader import _read_told
if sys.argv[2] == "open":
    os.open(sys.argv[1], os.O_RDONLY)
assert _read_told(sys.argv[1]) is None
try:
    os.open("/dev/tty", os.O_RDONLY)
except OSError:
    sys.exit(0)
sys.exit(9)
"""


@pytest.mark.parametrize(("how", "status"), [("open", 9), ("look", 0)])
def test_a_terminal_is_never_opened(how: str, status: int) -> None:
    """A session leader without a terminal, as the engine is one, gets none by looking; by opening it would."""
    master, slave = os.openpty()
    try:
        command = [sys.executable, "-c", LOOK, os.ttyname(slave), how]
        done = subprocess.run(command, start_new_session=True, stdin=subprocess.DEVNULL, timeout=30)
        assert done.returncode == status
    finally:
        os.close(master)
        os.close(slave)


def test_a_file_in_memory_is_read_and_no_other() -> None:
    """The service's own file is read; a plain file on a disk with the same text is not."""
    fd = os.memfd_create("hako-aufs")
    os.write(fd, b"4\0/x\0tdp\0rw\0/b=rw\0")
    assert _read_told(f"/proc/self/fd/{fd}") == b"4\0/x\0tdp\0rw\0/b=rw\0"
    os.close(fd)
    assert _read_told("/etc/hostname") is None
    assert _read_told("/dev/null") is None


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "", "3"])
def test_a_state_with_a_hostile_number_is_none(number: str) -> None:
    """It is said to be no state, whatever stands where the count belongs."""
    assert state.decode(f"{number}\0a\0b\0rw\0c".encode()) is None


def test_changes_of_a_look_are_bounded() -> None:
    """However many files a learner makes, one look tells MAX_FILES and says that there are more."""

    def endless() -> Iterator[Change]:
        while True:
            yield Change("/x", "added", "file", 0, None, 0)

    budget = _Budget()
    assert len(budget.some(endless())) == layer_reader.MAX_FILES
    assert budget.cut


def test_time_and_names_of_a_look_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its time, or with more bytes of names than it may read, nothing more is read."""
    budget = _Budget()
    assert not budget.over()
    name = "/" + "n" * 4000
    for _ in range(layer_reader.MAX_PATH_BYTES // 4000 + 1):
        budget.took(Tree((LayerFile(name, "file", 0, None),)))
    assert budget.over()
    monkeypatch.setattr(layer_reader, "LOOK_S", -1.0)
    late = _Budget()
    assert late.over() and late.cut
