"""Directories and files of a cgroup tree: make, write, hand controllers down. See cgroups(7).

The thin edge to the kernel below cgroups.py; which directory and which value is decided there and in cgroup_limits.py.
A refusal becomes Failed, with the path, the call and what to do.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from engine.errors import Failed
from engine.linux import cgroup_end, procfs
from engine.linux.cgroup_limits import Write

#: Controllers handed down a v2 tree, where the kernel has them.
_V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
# Rounds of moving processes out of the way: each takes what was forked in the one before.
_MOVES = 8


def read_text(path: Path) -> str:
    try:
        return procfs.read(str(path)).decode("ascii", "replace")
    except FileNotFoundError:
        return ""


def mkdir(path: Path) -> None:
    try:
        path.mkdir(mode=0o755)
    except FileExistsError:
        return
    except OSError as error:
        raise Failed(f"mkdir({path}): {error.strerror}.", _why(error)) from error


def mkdirs(base: Path, name: str) -> None:
    for component in name.split("/"):
        base /= component
        mkdir(base)


def _why(error: OSError) -> str:
    return {
        errno.EROFS: "The cgroup file system is read-only: start the engine with the host's, or --privileged.",
        errno.EAGAIN: "cgroup.max.descendants of a group above is reached: remove unused groups.",
        errno.EACCES: "The engine must be root on the host.",
        errno.EBUSY: "Processes are in the way: of the group itself (v2), or using more than the new limit (v1).",
        errno.ENOSPC: "The parent has no CPUs or memory nodes in its cpuset.",
    }.get(error.errno or 0, "")


def write(path: Path, value: str) -> None:
    """One write(2) of `value`. Raises OSError as the kernel gives it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def write_all(path: Path, writes: list[Write]) -> None:
    """In order; what is refused with EINVAL gets one more try after the others.

    v1 demands memory <= memory+swap at every moment, so which of the two goes first depends on what is there.
    """
    again = []
    for entry in writes:
        try:
            write(path / entry.file, entry.value)
        except FileNotFoundError as error:
            if not entry.optional or not path.is_dir():
                raise Failed(f"write({path / entry.file}): {error.strerror}.") from error
        except OSError as error:
            if error.errno != errno.EINVAL or len(writes) == 1:
                raise Failed(f"write({path / entry.file}, {entry.value}): {error.strerror}.", _why(error)) from error
            again.append(entry)
    for entry in again:
        try:
            write(path / entry.file, entry.value)
        except OSError as error:
            raise Failed(f"write({path / entry.file}, {entry.value}): {error.strerror}.", _why(error)) from error


def prepare_v1(mount: Path, path: Path) -> None:
    """Our top group in a v1 tree: children inherit cpuset and hierarchical accounting from it."""
    mkdir(path)
    for file in ("cpuset.cpus", "cpuset.mems"):
        # A new cpuset is empty and takes no process (ENOSPC) until it has CPUs and memory nodes.
        if (path / file).exists() and not read_text(path / file).strip():
            write(path / file, read_text(mount / file).strip())
    if (path / "cpuset.cpus").exists():
        write(path / "cgroup.clone_children", "1")
    if read_text(path / "memory.use_hierarchy").strip() == "0":  # before Linux 5.11 a limit did not count children
        write(path / "memory.use_hierarchy", "1")


def enable_controllers(path: Path, offered: frozenset[str]) -> None:
    """v2: let the groups below `path` have the controllers we use."""
    have = set(read_text(path / "cgroup.subtree_control").split())
    wanted = [name for name in _V2_CONTROLLERS if name in offered and name not in have]
    if not wanted:
        return
    file, value = path / "cgroup.subtree_control", " ".join(f"+{name}" for name in wanted)
    for _ in range(_MOVES):
        try:
            write(file, value)
        except OSError as error:
            refused = error
        else:
            return
        # The root of a cgroup namespace (the demo image in Docker) obeys "no processes in inner groups" like any other
        # group; the host's root does not. There all processes are ours, so they move to a leaf; what one of them forks
        # meanwhile moves in the next round.
        if refused.errno != errno.EBUSY or not (path / "cgroup.type").exists():
            break
        cgroup_end.move_all(path, path / "init")
    raise Failed(f"write({file}, {value}): {refused.strerror}.", _why(refused)) from refused
