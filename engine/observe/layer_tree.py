"""What lies in a layer: read from outside, bounded, and only as far as it changed.

A directory is listed again when its mtime or ctime is another one; the others cost one fstat(2). Layers belong to the
learner: each step opens one name in a directory that is open already and follows no link. Both kinds of marks are
understood: overlay's (a device 0/0, an xattr) and AUFS's (`.wh.x`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.observe.layers import LayerFile, Tree
from engine.observe.model import text
from engine.storage import whiteouts

#: Files told of one layer, and how deep they may lie.
MAX_FILES = {True: 500, False: 200}  # writable, not
MAX_DEPTH = 16
#: Names looked at in one directory: AUFS's marks are as many as what they hide.
_MAX_NAMES = 1000

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory as it was listed: when that was, by its own times, and its names."""

    stamp: tuple[int, int, int]
    files: tuple[LayerFile, ...]
    truncated: bool


class TreeReader:
    """Remembers the listing of one layer.

    Args:
        aufs: names that begin with `.wh.` are marks.
        writable: sizes may change without their directory, so they are asked for each time.
    """

    def __init__(self, *, aufs: bool, writable: bool) -> None:
        self._aufs, self._writable = aufs, writable
        self._seen: dict[str, _Directory] = {}
        self._tree = Tree(())

    def read(self, fd: int) -> Tree:
        """The tree below an open directory; the very same object as before if nothing changed."""
        fresh: dict[str, _Directory] = {}
        files: list[LayerFile] = []
        whole = self._list(fd, "", 0, fresh, files)
        self._seen = fresh
        found = Tree(tuple(sorted(files, key=lambda one: one.path)), not whole)
        if found != self._tree:
            self._tree = found
        elif self._writable:
            for mine, theirs in zip(self._tree.files, found.files, strict=True):
                if mine.size != theirs.size:
                    self._tree = found
                    break
        return self._tree

    def _list(self, fd: int, path: str, depth: int, fresh: dict[str, _Directory], files: list[LayerFile]) -> bool:
        """Add what one directory holds, then what its directories hold; False once there is no more room."""
        room = MAX_FILES[self._writable] - len(files)
        status = os.fstat(fd)
        stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        known = self._seen.get(path)
        if known is None or known.stamp != stamp:
            known = self._directory(fd, path, stamp, room)
        elif self._writable:
            known = replace(known, files=tuple(_sized(fd, one) for one in known.files))
        fresh[path] = known
        files += known.files[:room]
        if known.truncated or len(known.files) > room or depth == MAX_DEPTH:
            return False
        whole = True
        for file in known.files:
            if file.type != "directory" or file.mark == "whiteout":
                continue
            try:
                inner = os.open(file.path.rpartition("/")[2], _OPEN, dir_fd=fd)
            except (OSError, ValueError):  # gone, or its name is not told as it is
                continue
            try:
                whole &= self._list(inner, file.path, depth + 1, fresh, files)
            finally:
                os.close(inner)
        return whole

    def _directory(self, fd: int, path: str, stamp: tuple[int, int, int], room: int) -> _Directory:
        names, more = _names(fd)
        found: list[LayerFile] = []
        for name in names:
            if len(found) > room:
                break
            file = self._file(fd, path, name)
            if file is not None:
                found.append(file)
        if self._aufs:
            hidden = {one.path for one in found if one.mark == "whiteout"}
            found = [one for one in found if one.mark == "whiteout" or one.path not in hidden]
        return _Directory(stamp, tuple(found), more or len(found) > room)

    def _file(self, fd: int, path: str, name: str) -> LayerFile | None:
        if self._aufs and name.startswith(whiteouts.PREFIX):
            if name.startswith(whiteouts.INTERNAL_PREFIX):
                return None
            return LayerFile(f"{path}/{text(name[len(whiteouts.PREFIX) :])}", "other", "whiteout")
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return None
        type_ = _TYPES.get(stat.S_IFMT(status.st_mode), "other")
        mark = None
        if not self._aufs and whiteouts.is_whiteout(status):
            mark = "whiteout"
        elif type_ == "directory" and whiteouts.hides_lower(fd, name, aufs=self._aufs):
            mark = "opaque"
        return LayerFile(f"{path}/{text(name)}", type_, mark, status.st_size if type_ == "file" else 0)


def _names(fd: int) -> tuple[list[str], bool]:
    """The names in a directory, sorted, and whether there are more than are looked at."""
    with os.scandir(fd) as entries:
        found = list(_bounded(entries))
    return sorted(found[:_MAX_NAMES]), len(found) > _MAX_NAMES


def _bounded(entries: Iterator[os.DirEntry[str]]) -> Iterator[str]:
    for count, entry in enumerate(entries):
        yield entry.name
        if count == _MAX_NAMES:
            return


def _sized(fd: int, file: LayerFile) -> LayerFile:
    if file.type != "file":
        return file
    try:
        size = os.stat(file.path.rpartition("/")[2], dir_fd=fd, follow_symlinks=False).st_size
    except (OSError, ValueError):
        return file
    return file if size == file.size else replace(file, size=size)
