"""The driver for whoever has no union file system: the layers are copied into the upper directory, once.

Slow (a copy of the image for each container) and large, and it works on every file system and every kernel. Where the
file system can share blocks (FICLONE: btrfs, xfs) the copy costs neither. What was changed is found by comparing with
the layers: by kind, mode, owner, size, time and, where those agree, nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar

from engine.linux import mounts
from engine.storage import merged, pack, whiteouts
from engine.storage.merged import Node
from engine.storage.overlay import directory, view
from engine.storage.tree import Entry, walk
from engine.storage.union import Change, Kind, Place, UnionDriver, Verdict

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_CHUNK = 1 << 24
#: Names in the work directory: a copy has begun; it is whole.
_BEGUN, _WHOLE = "vfs-begun", "vfs"


class VfsDriver(UnionDriver):
    """Copies."""

    name: ClassVar[str] = "vfs"
    slow: ClassVar[bool] = True

    def supported(self, backing: Path) -> Verdict:
        """It needs a place to write to."""
        if not os.access(backing, os.W_OK):
            return Verdict(False, f"{backing} cannot be written to")
        return Verdict(True, "every container gets a copy of its image")

    def mount(
        self,
        lower: Sequence[Place],
        upper: Place | None = None,
        work: Place | None = None,
        *,
        readonly: bool = False,
        userxattr: bool = False,
    ) -> int:
        """See UnionDriver.mount. A view of several layers would have nowhere to be copied to: EOPNOTSUPP."""
        if not lower or (upper is None) != (work is None):
            raise ValueError("a copy needs a layer, and an upper directory needs a work directory")
        with contextlib.ExitStack() as stack:
            layers = [stack.enter_context(directory(place)) for place in lower]
            if upper is None or work is None:
                if len(layers) > 1:
                    raise OSError(errno.EOPNOTSUPP, "vfs: several layers without an upper directory")
                return view(layers[0])
            top = stack.enter_context(directory(upper))
            inside = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=top)
            stack.callback(os.close, inside)
            _fill(layers, inside, stack.enter_context(directory(work)))
            if readonly:
                return view(top)
            return mounts.copy("", dirfd=top)

    def changes(self, lower: Sequence[Place], upper: Place) -> Iterator[Change]:
        """See UnionDriver.changes. A deleted directory is listed, what it held is not."""
        with contextlib.ExitStack() as stack:
            image = merged.merge([stack.enter_context(directory(place)) for place in lower])
            top = stack.enter_context(directory(upper))
            told = dict(_compared(image, top))
            for path in _holding(told):
                told.setdefault(path, Kind.MODIFIED)
            for path in sorted(told, key=lambda one: [os.fsencode(part) for part in one.split("/")]):
                yield Change("/" + path, told[path])

    def diff(self, lower: Sequence[Place], upper: Place, out: BinaryIO) -> int:
        """See UnionDriver.diff."""
        with contextlib.ExitStack() as stack:
            image = merged.merge([stack.enter_context(directory(place)) for place in lower])
            top = stack.enter_context(directory(upper))
            told = dict(_compared(image, top))
            return pack.pack_entries(_chosen(top, told, _holding(told) | {""}), out)


def _holding(told: Iterable[str]) -> set[str]:
    """The directories on the way to these paths."""
    found = set()
    for path in told:
        while path := path.rpartition("/")[0]:
            found.add(path)
    return found


def _chosen(top: int, told: dict[str, Kind], holding: set[str]) -> Iterator[Entry | str]:
    """The changed entries of a copy, and a mark for each deleted one behind its directory."""
    deleted: dict[str, list[str]] = {}
    for path in sorted(told, key=os.fsencode):
        if told[path] is Kind.DELETED:
            parent, _, name = path.rpartition("/")
            deleted.setdefault(parent, []).append(f"{parent}/{whiteouts.PREFIX}{name}".lstrip("/"))
    for entry in walk(top):
        if entry.path in told or entry.path in holding:
            yield entry
            yield from deleted.get(entry.path, ())


def _compared(image: Node, top: int) -> Iterator[tuple[str, Kind]]:
    """What differs between an image and a copy of it; nothing below a deleted directory."""
    seen = set()
    for entry in walk(top):
        if not entry.path:
            continue
        seen.add(entry.path)
        before = image.find(entry.path)
        if before is None:
            yield entry.path, Kind.ADDED
        elif _print(before.status) != _print(entry.status):
            yield entry.path, Kind.MODIFIED
    gone: list[str] = []
    for path, _ in image.walk():
        if path not in seen and not any(path.startswith(f"{parent}/") for parent in gone[-1:]):
            gone.append(path)
            yield path, Kind.DELETED


def _print(status: os.stat_result) -> tuple[int, ...]:
    """What tells a file from its copy. A directory's size and time change with what it holds, which is told itself."""
    mine = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev)
    return mine if stat.S_ISDIR(status.st_mode) else (*mine, status.st_size, status.st_mtime_ns)


def _fill(layers: Sequence[int], top: int, work: int) -> None:
    """Copy what the layers show into an empty upper directory; a copy that was cut short is begun again."""
    if _there(work, _WHOLE):
        return
    if _there(work, _BEGUN):
        for name in os.listdir(top):
            _remove(top, name)
    elif os.listdir(top):
        text = "vfs: the upper directory holds something that is no copy: it was made by another driver"
        raise OSError(errno.ENOTEMPTY, text)
    _touch(work, _BEGUN)
    image = merged.merge(layers)
    links: dict[tuple[int, int, int], str] = {}
    held = [("", image), *image.walk()]
    for path, node in held[1:]:
        _copy(layers[node.layer], path, node, top, links)
    for path, node in reversed(held):  # times of directories last, since filling one changes them
        if stat.S_ISDIR(node.status.st_mode):
            _dress(layers[node.layer], path, node.status, top)
    _touch(work, _WHOLE)


def _copy(layer: int, path: str, node: Node, top: int, links: dict[tuple[int, int, int], str]) -> None:
    """One file, without the times and attributes of a directory."""
    status = node.status
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(path, 0o700, dir_fd=top)
        return
    inode = (node.layer, status.st_dev, status.st_ino)
    if status.st_nlink > 1 and inode in links:
        os.link(links[inode], path, src_dir_fd=top, dst_dir_fd=top, follow_symlinks=False)
        return
    links[inode] = path
    if kind == stat.S_IFLNK:
        parent, _, name = path.rpartition("/")
        fd = merged.opened(layer, parent, os.O_PATH | os.O_DIRECTORY)
        try:
            os.symlink(os.readlink(name, dir_fd=fd), path, dir_fd=top)
        finally:
            os.close(fd)
        os.chown(path, status.st_uid, status.st_gid, dir_fd=top, follow_symlinks=False)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=top, follow_symlinks=False)
        return
    if kind == stat.S_IFREG:
        _copy_content(layer, path, top, status.st_size)
    else:
        os.mknod(path, status.st_mode, status.st_rdev, dir_fd=top)
    _dress(layer, path, status, top)


def _copy_content(layer: int, path: str, top: int, size: int) -> None:
    old = merged.opened(layer, path, os.O_RDONLY)
    try:
        new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=top)
        try:
            with contextlib.suppress(OSError):  # another file system, or one that cannot share blocks
                fcntl.ioctl(new, _FICLONE, old)
                return
            while os.sendfile(new, old, None, _CHUNK):
                pass
        finally:
            os.close(new)
    finally:
        os.close(old)


def _dress(layer: int, path: str, status: os.stat_result, top: int) -> None:
    """Owner, attributes, mode and times of a file that is no link."""
    os.chown(path or ".", status.st_uid, status.st_gid, dir_fd=top, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        old = merged.opened(layer, path, os.O_RDONLY)
        try:
            new = merged.opened(top, path, os.O_RDONLY)
            try:
                for name in os.listxattr(old):
                    if pack.keeps_xattr(name):
                        os.setxattr(new, name, os.getxattr(old, name))
            finally:
                os.close(new)
        finally:
            os.close(old)
    os.chmod(path or ".", stat.S_IMODE(status.st_mode), dir_fd=top)
    os.utime(path or ".", ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=top)


def _there(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _touch(fd: int, name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=fd))


def _remove(fd: int, name: str) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=fd)
    else:
        os.unlink(name, dir_fd=fd)
