"""What the union shows: which branch a name comes from, and what a directory holds.

A name is looked for from the top branch down. The first branch that has it wins; a whiteout on the way ends the
search; a directory is the sum of all the directories of that name, down to the first that is opaque or hidden. Nothing
is kept in memory: branches may change below us (aufs(5), udba), so every question is put to the disk again. See
marks.py for what is hidden, copyup.py and changes.py for what is written.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import BadInput
from engine.storage.aufs_fuse import marks
from engine.storage.aufs_fuse.branches import Branch, Branches


@dataclass(frozen=True)
class Open:
    """A branch and a descriptor of its directory, so that it stays the same directory whatever becomes of its path."""

    branch: Branch
    fd: int


@dataclass(frozen=True)
class Entry:
    """What a path of the union stands for.

    Attributes:
        path: relative to the union's root, "" for the root itself.
        at: number of the branch that wins.
        parts: for a directory, the branches whose directories it is the sum of, topmost first; else empty.
        below: the lowest branch that could have contributed: an opaque directory ends it early.
    """

    path: str
    at: int
    parts: tuple[int, ...] = ()
    below: int = 0

    @property
    def is_directory(self) -> bool:
        return bool(self.parts)


class Union:
    """The branches of a mounted union.

    Args:
        branches: topmost first; each must be a directory.

    Raises:
        BadInput: a branch is not a directory.
    """

    def __init__(self, branches: Branches) -> None:
        self.open: tuple[Open, ...] = ()
        #: Told of each file that was copied up: what it was, the branch it is in now, its path.
        self.copied: Callable[[os.stat_result, int, str], None] = lambda old, number, path: None
        self.change(branches)

    def change(self, branches: Branches) -> None:
        """Have these branches from now on; those that stay keep their descriptors, all or none is changed."""
        kept = {each.branch.path: each.fd for each in self.open}
        opened: list[Open] = []
        fresh: list[int] = []
        try:
            for branch in branches:
                fd = kept.get(branch.path)
                if fd is None:
                    fd = os.open(branch.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                    fresh.append(fd)
                opened.append(Open(branch, fd))
        except OSError as error:
            for fd in fresh:
                os.close(fd)
            text = f"The branch {branch.path} cannot be opened: {error.strerror}."
            raise BadInput(text, "A branch is a directory that is there.") from error
        staying = {each.branch.path for each in opened}
        for path, fd in kept.items():
            if path not in staying:
                os.close(fd)
        self.open = tuple(opened)

    def close(self) -> None:
        """Let go of the branches."""
        for each in self.open:
            os.close(each.fd)
        self.open = ()

    def stat(self, number: int, path: str) -> os.stat_result | None:
        """What a branch has at a path, links not followed; None where it has nothing."""
        try:
            return os.stat(path or ".", dir_fd=self.open[number].fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
                return None
            raise

    def has_mark(self, number: int, path: str) -> bool:
        """Whether a mark lies at this path of a branch, and counts there."""
        return self.open[number].branch.marks_count and self.stat(number, path) is not None

    def lookup(self, path: str) -> Entry:
        """What a path stands for.

        Raises:
            FileNotFoundError: nothing. NotADirectoryError: something on the way is no directory.
        """
        entry = self._root()
        for name in [part for part in path.split("/") if part]:
            if not entry.is_directory:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            found = self.child(entry, name)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            entry = found
        return entry

    def _root(self) -> Entry:
        parts = tuple(range(len(self.open)))
        return Entry("", 0, parts, parts[-1])

    def child(self, parent: Entry, name: str) -> Entry | None:
        """The entry of a name in a directory; None where there is none."""
        if marks.is_mark(name):
            return None
        path = join(parent.path, name)
        parts: list[int] = []
        below = parent.below
        for number in parent.parts:
            seen = self.stat(number, path)
            if seen is not None and not stat.S_ISDIR(seen.st_mode):
                if not parts:
                    return Entry(path, number, below=below)
                below = number - 1
                break
            if seen is not None:
                parts.append(number)
                if self.has_mark(number, join(path, marks.OPAQUE)):
                    below = number
                    break
            elif self.has_mark(number, join(parent.path, marks.whiteout(name))):
                below = number if not parts else number - 1
                break
        return Entry(path, parts[0], tuple(parts), below) if parts else None

    def hidden_at(self, parent: Entry, name: str) -> int | None:
        """The topmost branch with a whiteout for a name; None where none has one."""
        mark = join(parent.path, marks.whiteout(name))
        return next((number for number in parent.parts if self.has_mark(number, mark)), None)

    def listdir(self, entry: Entry) -> list[str]:
        """The names in a directory, each once, without marks; sorted, so that a listing is stable while it changes."""
        shown: set[str] = set()
        hidden: set[str] = set()
        for number in entry.parts:
            names = self._names(number, entry.path)
            shown |= {name for name in names if not marks.is_mark(name) and name not in hidden}
            if self.open[number].branch.marks_count:
                hidden |= {name for mark in names if (name := marks.hidden_by(mark)) is not None}
            hidden |= shown
        return sorted(shown)

    def _names(self, number: int, path: str) -> list[str]:
        try:
            fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.open[number].fd)
        except FileNotFoundError:
            return []  # it went while we looked
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)


def join(parent: str, name: str) -> str:
    """A path below another, both relative to the union's root."""
    return f"{parent}/{name}" if parent else name


def split(path: str) -> tuple[str, str]:
    """The directory a path lies in, and its name there."""
    parent, _, name = path.rpartition("/")
    return parent, name
