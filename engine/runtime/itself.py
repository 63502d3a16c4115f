"""What the zygote does to itself as a process: signals, descriptors, an executable that nobody can overwrite.

A process that enters a container is, until its execve(2), a fork of the zygote and runs the machine's own Python. An
image whose program is a link to /proc/self/exe has that Python run once more, with the image's libraries, and then
holds the machine's file open (CVE-2019-5736). So the zygote runs from a read-only mount of its executable that is
nowhere in the tree: what is opened through it cannot be opened for writing, and nobody can remount it. See proc(5),
open_tree(2), mount_setattr(2), execve(2).

Imported by the zygote, so it needs nothing but `os`, `signal` and `sys`.
"""

from __future__ import annotations

import os
import signal
import sys

from engine.linux import mounts, syscalls

_SELF = "/proc/self/exe"


def run_from_read_only_mount() -> None:
    """Execute this program anew from a read-only mount of its own file; comes back where that is done, or cannot be.

    It cannot before Linux 5.12. Whether the interpreter starts from there (it may look for its libraries beside itself)
    is tried first.
    """
    here = os.open(_SELF, os.O_PATH | os.O_CLOEXEC)
    try:
        if os.fstatvfs(here).f_flag & os.ST_RDONLY:
            return
    finally:
        os.close(here)
    try:
        copy = mounts.copy(_SELF)
    except OSError:
        return
    try:
        syscalls.mount_setattr(copy, "", syscalls.AT_EMPTY_PATH, attr_set=syscalls.MOUNT_ATTR_RDONLY)
        path = f"/proc/self/fd/{copy}"
        trial = os.posix_spawn(path, [sys.orig_argv[0], "-I", "-S", "-c", "import ctypes, socket"], os.environ)
        if os.waitpid(trial, 0)[1] == 0:
            os.execve(path, sys.orig_argv, os.environ)
    except OSError:
        return  # as before: the file is busy as long as we run it, which also refuses writers
    finally:
        os.close(copy)


def default_signals(ignored: tuple[int, ...]) -> None:
    """Whatever this process inherited, its children shall start with defaults; see signal(7)."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def keep_only(fds: set[int]) -> None:
    """Close every descriptor but these and the first three: a child must not hold its brothers' sockets open."""
    first = 3
    for fd in sorted(fd for fd in fds if fd >= 3):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first)
