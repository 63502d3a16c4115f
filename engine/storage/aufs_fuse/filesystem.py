"""The union as a file system: one method for each call, in the words of section 2 of the manual.

Paths are relative to the root. Reading goes to the branch that wins; whatever changes a file copies it up first. A file
that is open stays what it was when it was opened, also when its name is gone or its copy has moved up: reads and writes
go by descriptor. Knows nothing of FUSE; service.py puts it behind it, and the tests call it directly.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from engine.storage.aufs_fuse import copyup, marks
from engine.storage.aufs_fuse import options as texts
from engine.storage.aufs_fuse.changes import Changes
from engine.storage.aufs_fuse.options import Options
from engine.storage.aufs_fuse.orphans import Orphans, is_hidden
from engine.storage.aufs_fuse.policies import Chooser
from engine.storage.aufs_fuse.union import Union


class FileSystem:
    """A mounted union.

    Raises:
        BadInput: a branch is not a directory.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.union = Union(options.branches)
        self.union.copied = self._follow
        self._orphans = Orphans()
        self._lower: set[int] = set()  # descriptors of files in branches that are not written to
        self._chooser = Chooser(options.create)
        self._changes = Changes(self.union, self._chooser)

    def remount(self, text: str) -> None:
        """Carry out `-o remount,…`: every change in it or none.

        Raises:
            BadInput, NotFound, Conflict, Exhausted: as options.remount.
        """
        wanted = texts.remount(self.options, text)
        self.union.change(wanted.branches)
        self.options = wanted
        if wanted.create != self._chooser.policy:
            self._chooser.policy = wanted.create

    def close(self) -> None:
        """Let go of the branches."""
        self._orphans.close()
        self.union.close()

    # Looking

    def lstat(self, path: str) -> os.stat_result:
        """What a path is."""
        orphan = self._orphans.get(path)
        if orphan is not None:
            return os.fstat(orphan[0])
        entry = self.union.lookup(path)
        seen = self.union.stat(entry.at, path)
        if seen is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return seen

    def listdir(self, path: str) -> list[str]:
        """The names in a directory."""
        entry = self.union.lookup(path)
        if not entry.is_directory:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return self.union.listdir(entry)

    def readlink(self, path: str) -> str:
        """Where a symbolic link points."""
        return os.readlink(path, dir_fd=self._branch(path))

    def statvfs(self) -> os.statvfs_result:
        """Room: that of the topmost writable branch, since there new files go; as AUFS without `sum`."""
        number = next((n for n, each in enumerate(self.union.open) if each.branch.writable), 0)
        return os.fstatvfs(self.union.open[number].fd)

    # Files

    def open(self, path: str, flags: int) -> int:
        """A descriptor of a file; one that will be written to is copied up first, the whole of it."""
        entry = self.union.lookup(path)
        writing = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        number = self._writable(path) if writing else entry.at
        keep = flags & (os.O_ACCMODE | os.O_TRUNC | os.O_APPEND)
        fd = os.open(path, keep | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.union.open[number].fd)
        if not self.union.open[number].branch.writable:
            self._lower.add(fd)
        return fd

    def release(self, fd: int) -> None:
        """Close a descriptor that `open` or `create` gave."""
        self._lower.discard(fd)
        os.close(fd)

    def create(self, path: str, mode: int) -> int:
        """A new file, open for reading and writing."""
        self._check_writable()
        opened: list[int] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._changes.make(path, lambda fd: opened.append(os.open(path, flags, mode, dir_fd=fd)))
        return opened[0]

    def truncate(self, path: str, length: int) -> None:
        """Cut or lengthen a file."""
        with self.changed(path) as fd:
            os.truncate(fd, length)

    # Names

    def mkdir(self, path: str, mode: int) -> None:
        """A new directory."""
        self._check_writable()
        self._changes.mkdir(path, mode)

    def mknod(self, path: str, mode: int, device: int) -> None:
        """A new node, fifo, socket or empty file."""
        self._check_writable()
        self._changes.make(path, lambda fd: os.mknod(path, mode, device, dir_fd=fd))

    def symlink(self, target: str, path: str) -> None:
        """A new symbolic link at `path`."""
        self._check_writable()
        self._changes.make(path, lambda fd: os.symlink(target, path, dir_fd=fd))

    def link(self, old: str, new: str) -> None:
        """Another name for a file, in the branch the file is in, copied up if need be.

        Raises:
            OSError: EXDEV where the new name would have to go to another branch.
        """
        self._check_writable()
        number = self._writable(old)
        fd = self.union.open[number].fd
        target, _ = self._changes.place(new)
        if target != number and not self._fits(new, number):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), new)
        copyup.make_parents(self.union, number, new)
        os.link(old, new, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        self._changes.unhide(number, new)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        if self._orphans.forget(path):
            return
        self._check_writable()
        self._changes.unlink(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self._check_writable()
        self._changes.rmdir(path)

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """Give another name; if `replace` is false, only one that nothing has (EEXIST)."""
        self._check_writable()
        if not is_hidden(new):
            self._changes.rename(old, new, replace=replace)
            return
        at = self.union.open[self.union.lookup(old).at]
        fd = os.open(old, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at.fd)
        try:
            self._changes.unlink(old)
        except OSError:
            os.close(fd)
            raise
        self._orphans.add(new, fd, writable=at.branch.writable)

    # What belongs to a file

    @contextmanager
    def changed(self, path: str) -> Iterator[str]:
        """A path by which something that may be changed is reached, be it a link: it was copied up if need be.

        It is one below /proc/self/fd, since not every call takes a descriptor of a directory.

        Raises:
            OSError: EROFS, also for a deleted file of a branch that is not written to: it has no name to copy it up to.
        """
        orphan = self._orphans.get(path)
        if orphan is not None:
            self._check_writable()
            if not orphan[1]:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            yield f"/proc/self/fd/{orphan[0]}"
            return
        with self._held(path, self._writable(path)) as held:
            yield held

    def chmod(self, path: str, mode: int) -> None:
        """Another mode: the whole file is copied up for it."""
        with self.changed(path) as held:
            os.chmod(held, mode)

    def listxattr(self, path: str) -> list[str]:
        """Names of extended attributes."""
        with self._seen(path) as held:
            return os.listxattr(held)

    def getxattr(self, path: str, name: str) -> bytes:
        """One extended attribute."""
        with self._seen(path) as held:
            return os.getxattr(held, name)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        """Set one."""
        with self.changed(path) as fd:
            os.setxattr(fd, name, value, flags)

    def removexattr(self, path: str, name: str) -> None:
        """Remove one."""
        with self.changed(path) as fd:
            os.removexattr(fd, name)

    def _branch(self, path: str) -> int:
        return self.union.open[self.union.lookup(path).at].fd

    def _check_writable(self) -> None:
        if self.options.readonly:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def _writable(self, path: str) -> int:
        self._check_writable()
        return copyup.writable(self.union, self._chooser, self.union.lookup(path))

    def _fits(self, path: str, number: int) -> bool:
        parent_path, _, name = path.rpartition("/")
        parent = self.union.lookup(parent_path)
        hidden = self.union.hidden_at(parent, name)
        return number <= (parent.below if hidden is None else min(hidden, parent.below))

    def _follow(self, old: os.stat_result, number: int, path: str) -> None:
        """Who has a file open that was copied up reads the copy from now on, as AUFS does: same number, other file."""
        for fd in list(self._lower):
            here = os.fstat(fd)
            if (here.st_dev, here.st_ino) == (old.st_dev, old.st_ino):
                copy = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.union.open[number].fd)
                os.dup2(copy, fd, inheritable=False)
                os.close(copy)
                self._lower.discard(fd)

    @contextmanager
    def _seen(self, path: str) -> Iterator[str]:
        orphan = self._orphans.get(path)
        if orphan is not None:
            yield f"/proc/self/fd/{orphan[0]}"
            return
        with self._held(path, self.union.lookup(path).at) as held:
            yield held

    @contextmanager
    def _held(self, path: str, number: int) -> Iterator[str]:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path or ".", flags, dir_fd=self.union.open[number].fd)
        try:
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)


def relative(path: str) -> str:
    """FUSE's path ("/a/b") as ours ("a/b").

    Raises:
        OSError: ENOENT for the name of a mark: marks are no files of the union.
    """
    parts = [part for part in path.split("/") if part]
    if any(marks.is_mark(part) for part in parts[:-1]):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return "/".join(parts)
