"""Create, delete and rename: what each writes, and into which branch.

Deleting adds: where a lower branch has the name, a whiteout is written above it. Creating takes a whiteout of that name
away again, and a directory made where one was deleted is opaque, or the old content would be back. Renaming is copy-up,
rename(2) in one branch, and a whiteout for the old name. A directory that has parts in several branches cannot be
renamed (EXDEV): mv(1) then copies it, as on AUFS without `dirren`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from engine.storage.aufs_fuse import copyup, marks
from engine.storage.aufs_fuse.policies import Chooser
from engine.storage.aufs_fuse.union import Entry, Union, join, split


def _refuse(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class Changes:
    """What changes a union. Paths are relative to its root."""

    def __init__(self, union: Union, chooser: Chooser) -> None:
        self.union, self.chooser = union, chooser

    def place(self, path: str) -> tuple[int, bool]:
        """Where a new name goes: (branch, whether a whiteout of that name was there). Makes its parents in that branch.

        Raises:
            OSError: EEXIST; EPERM for the name of a mark; EROFS where no branch will do; ENAMETOOLONG.
        """
        parent_path, name = split(path)
        if not marks.is_allowed(name):
            raise _refuse(errno.EPERM if marks.is_mark(name) else errno.ENAMETOOLONG, path)
        parent = self.union.lookup(parent_path)
        if not parent.is_directory:
            raise _refuse(errno.ENOTDIR, path)
        if self.union.child(parent, name) is not None:
            raise _refuse(errno.EEXIST, path)
        hidden = self.union.hidden_at(parent, name)
        lowest = parent.below if hidden is None else min(hidden, parent.below)
        target = self.chooser.create(self.union, parent_path, lowest)
        copyup.make_parents(self.union, target, path)
        return target, hidden is not None

    def make(self, path: str, call: Callable[[int], object]) -> int:
        """Make something new.

        Args:
            call: makes it, given the descriptor of the branch it goes to.

        Returns:
            That branch.
        """
        target, _ = self.place(path)
        call(self.union.open[target].fd)
        self.unhide(target, path)
        return target

    def mkdir(self, path: str, mode: int) -> int:
        """Make a directory, opaque where one of that name had been deleted."""
        target, was_hidden = self.place(path)
        fd = self.union.open[target].fd
        os.mkdir(path, mode, dir_fd=fd)
        if was_hidden:
            self._mark(target, join(path, marks.OPAQUE))
        self.unhide(target, path)
        return target

    def unlink(self, path: str) -> None:
        """Remove a name that is no directory."""
        entry = self.union.lookup(path)
        if entry.is_directory:
            raise _refuse(errno.EISDIR, path)
        self._remove(entry, lambda fd: os.unlink(path, dir_fd=fd), (entry.at,))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory from every branch that has it, or hide it."""
        entry = self.union.lookup(path)
        if not entry.is_directory:
            raise _refuse(errno.ENOTDIR, path)
        if self.union.listdir(entry):
            raise _refuse(errno.ENOTEMPTY, path)
        self._remove(entry, lambda fd: _remove_directory(path, fd), entry.parts)

    def _remove(self, entry: Entry, remove: Callable[[int], None], parts: tuple[int, ...]) -> None:
        """Remove from the writable branches; hide what would show from the others."""
        writable = [number for number in parts if self.union.open[number].branch.writable]
        parent_path, name = split(entry.path)
        parent = self.union.lookup(parent_path)
        staying = [
            number
            for number in parent.parts
            if number not in writable and number >= entry.at and self.union.stat(number, entry.path) is not None
        ]
        if staying:
            # The mark first: if the branch is full, nothing was removed yet.
            above = self.chooser.candidates(self.union, staying[0])
            target = writable[-1] if writable and writable[-1] <= staying[0] else above[-1]
            mark = join(parent_path, marks.whiteout(name))
            copyup.make_parents(self.union, target, entry.path)
            self._mark(target, mark)
        for number in writable:
            remove(self.union.open[number].fd)

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """Give a file another name, replacing what has that name unless `replace` is false.

        Raises:
            OSError: EXDEV for a directory with parts in several branches; ENOTEMPTY, EISDIR, ENOTDIR as rename(2).
        """
        entry = self.union.lookup(old)
        if entry.is_directory and (len(entry.parts) > 1 or not self.union.open[entry.at].branch.writable):
            raise _refuse(errno.EXDEV, old)
        if old == new:
            return
        self._clear(entry, new, replace=replace)
        source = copyup.writable(self.union, self.chooser, entry)
        parent_path, name = split(new)
        if not marks.is_allowed(name):
            raise _refuse(errno.EPERM, new)
        parent = self.union.lookup(parent_path)
        hidden = self.union.hidden_at(parent, name)
        if source > (parent.below if hidden is None else min(hidden, parent.below)):
            raise _refuse(errno.EXDEV, new)  # in its own branch the new name would be hidden by one above
        copyup.make_parents(self.union, source, new)
        if entry.is_directory and hidden is not None:
            self._mark(source, join(old, marks.OPAQUE))
        self._hide_old(old, source)
        fd = self.union.open[source].fd
        os.rename(old, new, src_dir_fd=fd, dst_dir_fd=fd)
        self.unhide(source, new)

    def _clear(self, entry: Entry, new: str, *, replace: bool) -> None:
        """Make room for a rename's new name."""
        try:
            there = self.union.lookup(new)
        except FileNotFoundError:
            return
        if not replace:
            raise _refuse(errno.EEXIST, new)
        if there.is_directory and not entry.is_directory:
            raise _refuse(errno.EISDIR, new)
        if entry.is_directory and not there.is_directory:
            raise _refuse(errno.ENOTDIR, new)
        if there.is_directory:
            self.rmdir(new)
        else:
            self.unlink(new)

    def _hide_old(self, old: str, source: int) -> None:
        parent_path, name = split(old)
        parent = self.union.lookup(parent_path)
        if any(number > source and self.union.stat(number, old) is not None for number in parent.parts):
            self._mark(source, join(parent_path, marks.whiteout(name)))

    def _mark(self, number: int, path: str) -> None:
        """Write a mark: an empty file that nobody may read."""
        fd = self.union.open[number].fd
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444, dir_fd=fd))

    def unhide(self, number: int, path: str) -> None:
        """Take a whiteout away; it lay in the same branch, since `place` goes no lower."""
        parent, name = split(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(join(parent, marks.whiteout(name)), dir_fd=self.union.open[number].fd)


def _remove_directory(path: str, fd: int) -> None:
    """Remove a directory that holds nothing but marks."""
    inside = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        for name in os.listdir(inside):
            if marks.is_mark(name) and not stat.S_ISDIR(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=inside)
    finally:
        os.close(inside)
    os.rmdir(path, dir_fd=fd)
