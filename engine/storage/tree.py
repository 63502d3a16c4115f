"""Walking a directory tree by file descriptor, so that nobody who can write to it leads us out of it.

Every step is an openat(2) with O_NOFOLLOW in a directory that is open already (man 7 path_resolution); no path string
is ever resolved from the top again. Bounded in depth and in entries. It only reads: see unpack.py for the writing side.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import Exhausted

MAX_DEPTH = 256  # PATH_MAX of 4096 bytes holds at most 2048 components; nobody nests a sane tree this deep
MAX_ENTRIES = 500_000  # a full desktop root has fewer

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """One file of a tree.

    Args:
        path: relative to the top, `/` between the parts; "" is the top itself.
        name: the last part of `path`.
        dirfd: its directory, open while the entry is handled (the top itself for the top).
        status: lstat(2) of it.
        fd: the directory itself, opened, where the entry is one; else -1.
    """

    path: str
    name: str
    dirfd: int
    status: os.stat_result
    fd: int = -1

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    def open(self) -> int:
        """Open a regular file for reading, never through a link. The caller closes it."""
        return os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.dirfd)


def walk(top: int | str | os.PathLike[str]) -> Iterator[Entry]:
    """Every entry of a tree, a directory before what it holds, names in byte order.

    Args:
        top: the top directory's path or an fd of it (which stays open).

    Raises:
        Exhausted: deeper than MAX_DEPTH or more than MAX_ENTRIES.
        OSError: a directory that cannot be opened or read.
    """
    fd = os.open(".", _DIRECTORY, dir_fd=top) if isinstance(top, int) else os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Entry("", "", fd, os.fstat(fd), fd)
        for count, entry in enumerate(_below(fd, "", 1), 1):
            if count > MAX_ENTRIES:
                raise Exhausted(f"the tree has more than {MAX_ENTRIES} files", "Remove what it does not need.")
            yield entry
    finally:
        os.close(fd)


def _below(dirfd: int, prefix: str, depth: int) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        raise Exhausted(f"{prefix[:80]!r}… is nested deeper than {MAX_DEPTH} directories", "Flatten the tree.")
    for name in sorted(os.listdir(dirfd), key=os.fsencode):
        path = f"{prefix}/{name}" if prefix else name
        status = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            yield Entry(path, name, dirfd, status)
            continue
        fd = os.open(name, _DIRECTORY, dir_fd=dirfd)
        try:
            # The directory may have been swapped since the stat: what counts is the one that is open now.
            yield Entry(path, name, dirfd, os.fstat(fd), fd)
            yield from _below(fd, path, depth + 1)
        finally:
            os.close(fd)
