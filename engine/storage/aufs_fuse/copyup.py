"""Copy-up: bring a file from a branch that is not written to one that is, with all that belongs to it.

The unit is the file: to change one byte of it, or its mode, the whole is copied first. A directory is copied without
its content, which goes on showing from below. The copy grows under a name of AUFS's own (`.wh..wh.…`, never shown) and
takes its place by rename(2), so nobody sees half a file, and a full branch leaves nothing but an error. See aufs(5),
"cpup".
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator

from engine.storage.aufs_fuse import marks
from engine.storage.aufs_fuse.policies import Chooser
from engine.storage.aufs_fuse.union import Entry, Union, join, split

_CHUNK = 1 << 20


def make_parents(union: Union, target: int, path: str) -> None:
    """Make the directories a path needs in a branch, each like the one the union shows."""
    parent, _ = split(path)
    if not parent or union.stat(target, parent) is not None:
        return
    make_parents(union, target, parent)
    entry = union.lookup(parent)
    fd = union.open[target].fd
    with _times_kept(fd, split(parent)[0]):
        os.mkdir(parent, 0o700, dir_fd=fd)
        _copy_metadata(union, entry.at, target, parent, parent)


def writable(union: Union, chooser: Chooser, entry: Entry) -> int:
    """The branch in which an entry may be changed: its own, or after a copy-up another.

    Raises:
        OSError: EROFS where no branch above is writable; ENOSPC and the like from the copy, which leaves nothing.
    """
    if union.open[entry.at].branch.writable:
        return entry.at
    parent, _ = split(entry.path)
    target = chooser.copy_up(union, parent, entry.at)
    make_parents(union, target, entry.path)
    new = join(parent, f"{marks.OWN}cpup.{secrets.token_hex(6)}")
    seen = union.stat(entry.at, entry.path)
    if seen is None:
        raise FileNotFoundError(2, "the file went while it was copied up", entry.path)
    fd = union.open[target].fd
    with _times_kept(fd, parent):
        if stat.S_ISDIR(seen.st_mode):
            os.mkdir(entry.path, 0o700, dir_fd=fd)
            _copy_metadata(union, entry.at, target, entry.path, entry.path)
            return target
        try:
            _copy_content(union, entry.at, target, entry.path, new, seen)
            _copy_metadata(union, entry.at, target, entry.path, new, seen)
            os.rename(new, entry.path, src_dir_fd=fd, dst_dir_fd=fd)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=fd)
            raise
    union.copied(seen, target, entry.path)
    return target


@contextlib.contextmanager
def _times_kept(fd: int, path: str) -> Iterator[None]:
    """A copy-up is no change of the directory it is in: its times are put back."""
    seen = os.stat(path or ".", dir_fd=fd)
    try:
        yield
    finally:
        os.utime(path or ".", ns=(seen.st_atime_ns, seen.st_mtime_ns), dir_fd=fd)


def _copy_content(union: Union, source: int, target: int, path: str, new: str, seen: os.stat_result) -> None:
    from_fd, to_fd = union.open[source].fd, union.open[target].fd
    if stat.S_ISLNK(seen.st_mode):
        os.symlink(os.readlink(path, dir_fd=from_fd), new, dir_fd=to_fd)
    elif stat.S_ISREG(seen.st_mode):
        old = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=from_fd)
        try:
            copy = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=to_fd)
            try:
                while data := os.read(old, _CHUNK):
                    _write_all(copy, data)
            finally:
                os.close(copy)
        finally:
            os.close(old)
    else:
        os.mknod(new, stat.S_IFMT(seen.st_mode) | 0o600, seen.st_rdev, dir_fd=to_fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _copy_metadata(
    union: Union, source: int, target: int, path: str, new: str, seen: os.stat_result | None = None
) -> None:
    """Owner, extended attributes, mode and times, in the order in which none undoes another.

    Args:
        seen: the original before its content was read, which changes its access time.
    """
    seen = seen or os.stat(path, dir_fd=union.open[source].fd, follow_symlinks=False)
    to_fd = union.open[target].fd
    os.chown(new, seen.st_uid, seen.st_gid, dir_fd=to_fd, follow_symlinks=False)
    if stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode):
        _copy_attributes(union, source, target, path, new)
    if not stat.S_ISLNK(seen.st_mode):
        os.chmod(new, stat.S_IMODE(seen.st_mode), dir_fd=to_fd)
    os.utime(new, ns=(seen.st_atime_ns, seen.st_mtime_ns), dir_fd=to_fd, follow_symlinks=False)


def _copy_attributes(union: Union, source: int, target: int, path: str, new: str) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    old = os.open(path, flags, dir_fd=union.open[source].fd)
    try:
        copy = os.open(new, flags, dir_fd=union.open[target].fd)
        try:
            for name in os.listxattr(old):
                # The others (security.*, system.*, trusted.*) belong to the kernel or to who owns the first namespace.
                if name.startswith("user."):
                    os.setxattr(copy, name, os.getxattr(old, name))
        finally:
            os.close(copy)
    finally:
        os.close(old)
