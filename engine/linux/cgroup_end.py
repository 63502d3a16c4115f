"""Who is in a cgroup, and how it is stopped, killed and removed. See cgroups(7) and cgroup-v2.rst.

Works on directories, v1 or v2 by the files they have; cgroups.py says which tree. Everything is bounded by a deadline,
and groups may vanish or grow at any moment, since a learner owns those below his own.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

from engine.errors import Failed
from engine.linux import procfs

# Rounds of "list, then kill" without cgroup.kill: a fork bomb gains on the first, frozen it cannot on the second.
_KILL_ROUNDS = 16
# How often a state is looked at that nothing reports: v1 has no event for "frozen" or "empty".
_POLL_S = 0.002


def directories_below(path: Path) -> list[Path]:
    """The group and all below it, each before what it contains; empty if it is gone."""
    found, index = [path] if path.is_dir() else [], 0
    while index < len(found):
        try:
            with os.scandir(found[index]) as entries:
                found += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            pass
        index += 1
    return found


def pids_of(path: Path) -> list[int]:
    """Host pids in one group, without those below. One outside the reader's pid namespace shows as 0: left out."""
    try:
        return [pid for word in procfs.read(f"{path}/cgroup.procs").split() if (pid := int(word))]
    except OSError as error:
        # ENODEV: removed while open. EOPNOTSUPP: a threaded group; its processes are listed in the domain above.
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return []
        raise


def pids_below(path: Path) -> list[int]:
    """Host pids in the group and all below it."""
    return [pid for directory in directories_below(path) for pid in pids_of(directory)]


def freeze(path: Path, deadline_s: float) -> None:
    """Freeze a v2 group, or a v1 group of the freezer tree, and wait until it is. See Group.freeze."""
    on_v2 = (path / "cgroup.freeze").exists()
    _write(path / ("cgroup.freeze" if on_v2 else "freezer.state"), "1" if on_v2 else "FROZEN")
    end = time.monotonic() + deadline_s
    while not frozen(path):
        if time.monotonic() > end:
            thaw(path)
            raise Failed(
                f"{path} did not freeze within {deadline_s} s.", "A process in it waits for a device; try again."
            )
        time.sleep(_POLL_S)


def frozen(path: Path) -> bool:
    """Whether a group is frozen: of v2, or of the v1 freezer tree."""
    if (path / "cgroup.freeze").exists():
        return b"frozen 1" in procfs.read_page(f"{path}/cgroup.events")
    return procfs.read_page(f"{path}/freezer.state").strip() == b"FROZEN"


def thaw(path: Path) -> None:
    """Thaw what `freeze` froze; fine if the group is gone."""
    on_v2 = (path / "cgroup.freeze").exists()
    try:
        _write(path / ("cgroup.freeze" if on_v2 else "freezer.state"), "0" if on_v2 else "THAWED")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def kill(path: Path, freezer: Path | None) -> None:
    """SIGKILL to all in the group and below. See Group.kill.

    Args:
        path: the group in the tree that lists processes.
        freezer: the group in the v1 freezer tree, if there is one.
    """
    try:
        _write(path / "cgroup.kill", "1")  # Linux 5.14, v2: all at once, no fork escapes
    except FileNotFoundError:
        _kill_one_by_one(path, freezer)
    except OSError as error:
        if error.errno != errno.ENODEV:  # removed between open(2) and write(2): nobody was in it
            raise
    # On v1 a frozen process keeps even a SIGKILL waiting; a learner may have frozen any group of his.
    for directory in directories_below(freezer) if freezer else []:
        thaw(directory)


def _kill_one_by_one(path: Path, freezer: Path | None) -> None:
    brake = path if (path / "cgroup.freeze").exists() else freezer
    for _ in range(_KILL_ROUNDS):
        pids = pids_below(path)
        if not pids:
            return
        # Frozen, nothing forks between listing and killing. Not waited for: a slow one is caught in the next round.
        if brake:
            _write_quietly(
                brake, "cgroup.freeze" if brake == path else "freezer.state", "1" if brake == path else "FROZEN"
            )
        for pid in pids_below(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if brake:
            thaw(brake)
        time.sleep(_POLL_S)  # for the killed to end


def remove_tree(path: Path, deadline_s: float = 2.0) -> None:
    """rmdir the group and all below, deepest first, until done or the time is over. See Group.remove."""
    end = time.monotonic() + deadline_s
    while True:
        left = [directory for directory in reversed(directories_below(path)) if not _rmdir(directory)]
        if not left:
            return
        if time.monotonic() > end:
            raise Failed(
                f"rmdir({left[0]}): Device or resource busy.", f"Processes left in it: {pids_below(path)[:10]}."
            )
        time.sleep(_POLL_S)


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):  # a process that is just ending, or a group made just now
            return False
        raise Failed(f"rmdir({path}): {error.strerror}.") from error
    return True


def rmdir_quietly(path: Path) -> None:
    """Undo of a mkdir when something after it failed: that failure is what must be told."""
    try:
        path.rmdir()
    except OSError:
        return


def move_all(source: Path, target: Path) -> None:
    """Move every process of one v2 group to another, made if need be. Slow (RCU); for set-up only."""
    target.mkdir(exist_ok=True)
    for pid in pids_of(source):
        try:
            _write(target / "cgroup.procs", str(pid))
        except ProcessLookupError:
            continue
        except OSError as error:
            if error.errno != errno.EINVAL:  # a kernel thread stays where it is
                raise


def _write(path: Path, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _write_quietly(path: Path, file: str, value: str) -> None:
    try:
        _write(path / file, value)
    except OSError:
        return
