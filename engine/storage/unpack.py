"""An OCI layer's tar, unpacked into a directory in overlay's form. The tar is hostile until it has been read.

Every parent directory is resolved by openat2(RESOLVE_IN_ROOT | NO_MAGICLINKS) from the layer's top, so a symbolic link
in the layer, wherever it points, stays inside (man 2 openat2). The last part of a name is never followed: it is created
with O_EXCL by fd after what stood there was removed. Entries are handled like this:

    ..  in a name                refused          device node            left out (and counted)
    absolute name                taken as below   hard link              only to a regular file of this layer
    .wh.x, .wh..wh..opq          translated       .wh..wh.* (AUFS's own) left out
    setuid, owner, times         kept             xattrs                 pack.keeps_xattr
    too many, too large          refused          other kinds            refused

See layer.md of the OCI image-spec for what a layer means; whiteouts.py for the marks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, cast

from engine.errors import BadInput
from engine.linux import syscalls
from engine.storage import whiteouts
from engine.storage.digests import CHUNK_BYTES, Digest
from engine.storage.pack import XATTR_HEADER, keeps_xattr
from engine.storage.stream import TAR_ERRORS, Stream

_RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_HOSTILE = "The archive is damaged or made to do harm; nothing of it was kept."
NAME_BYTES = 255  # NAME_MAX of every Linux file system
PATH_BYTES = 4096  # PATH_MAX
ID_MAX = 0xFFFFFFFE  # (uid_t) -1 means "leave it" to chown(2)


@dataclass(frozen=True)
class Limits:
    """What one layer may hold; size_bytes counts the uncompressed archive and, apart from it, the files' content."""

    size_bytes: int = 16 * 1024**3
    entries: int = 500_000


LIMITS = Limits()  # what no honest layer passes


@dataclass(frozen=True)
class Unpacked:
    """What came out: the digest of the uncompressed archive, its size, entries made, and device nodes left out."""

    diff_id: Digest
    size_bytes: int
    entries: int
    skipped: int


def unpack(archive: IO[bytes], top: int, limits: Limits = LIMITS) -> Unpacked:
    """Unpack an uncompressed layer.

    Args:
        archive: read forward to its end.
        top: fd of an empty directory.

    Raises:
        BadInput: an entry is refused (see the table above) or this is no tar; the directory then holds a part of it.
        OSError: the disk is full, or a call failed for another reason.
    """
    stream = Stream(archive, limits.size_bytes)
    work = _Unpacker(top, limits)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:", errorlevel=2) as tar:
            while (info := tar.next()) is not None:
                work.entry(info, tar)
                tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every header; a layer may have half a million
    except TAR_ERRORS as error:
        raise BadInput(f"not a layer: {error}", _HOSTILE) from error
    work.finish()
    stream.drain()
    return Unpacked(stream.digest, stream.tell(), work.entries, work.skipped)


class _Unpacker:
    """The state of one unpacking: counters, and directory times, which making files would spoil."""

    def __init__(self, top: int, limits: Limits) -> None:
        self._top = top
        self._limits = limits
        self._content_bytes = 0
        self._directories: dict[str, int] = {}
        self.entries = 0
        self.skipped = 0

    def entry(self, info: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        """Make one entry."""
        self.entries += 1
        if self.entries > self._limits.entries:
            raise BadInput(f"the layer has more than {self._limits.entries} entries", _HOSTILE)
        parts = split(info.name)
        if not parts:
            self._apply_directory(self._top, "", info)
            return
        name = parts.pop()
        with self._parent(parts) as dirfd:
            if name == whiteouts.OPAQUE:
                whiteouts.set_opaque(dirfd)
            elif name.startswith(whiteouts.INTERNAL_PREFIX):
                self.skipped += 1
            elif name.startswith(whiteouts.PREFIX):
                self._whiteout(dirfd, name[len(whiteouts.PREFIX) :], info)
            else:
                self._make(dirfd, name, "/".join([*parts, name]), info, tar)

    def finish(self) -> None:
        """Directory times, deepest first, now that nothing more is made in them."""
        for path in sorted(self._directories, key=len, reverse=True):
            # A later entry may have replaced the directory: then there is nothing to do.
            with contextlib.suppress(OSError):
                fd = syscalls.openat2(self._top, path or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_RESOLVE)
                try:
                    os.utime(fd, (self._directories[path], self._directories[path]))
                finally:
                    os.close(fd)

    @contextlib.contextmanager
    def _parent(self, parts: list[str]) -> Iterator[int]:
        """The directory an entry goes into, made where the archive forgot it."""
        fd = self._open_directory(parts)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open_directory(self, parts: list[str]) -> int:
        path = "/".join(parts) or "."
        try:
            return syscalls.openat2(self._top, path, os.O_RDONLY | os.O_DIRECTORY, resolve=_RESOLVE)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BadInput(f"the layer puts files below {path!r}, which is no directory ({error})", _HOSTILE) from error
        with self._parent(parts[:-1]) as above:
            _remove(above, parts[-1], unless=stat.S_ISDIR)
            os.mkdir(parts[-1], 0o755, dir_fd=above)
        return syscalls.openat2(self._top, path, os.O_RDONLY | os.O_DIRECTORY, resolve=_RESOLVE)

    def _whiteout(self, dirfd: int, name: str, info: tarfile.TarInfo) -> None:
        """`.wh.NAME`. What this very layer has under that name stays: a whiteout speaks of the layers below."""
        if not name or name in (".", ".."):
            raise BadInput(f"{info.name!r} is a whiteout of nothing", _HOSTILE)
        status = _lstat(dirfd, name)
        if status is None:
            whiteouts.make(dirfd, name)
        elif stat.S_ISDIR(status.st_mode):
            with _directory_fd(dirfd, name) as fd:
                whiteouts.set_opaque(fd)

    def _make(self, dirfd: int, name: str, path: str, info: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        if info.isdir():
            self._make_directory(dirfd, name, path, info)
            return
        if info.ischr() or info.isblk():
            self.skipped += 1
            return
        if info.islnk():
            self._link(dirfd, name, info)
            return
        _remove(dirfd, name)
        if info.isreg():
            self._file(dirfd, name, info, tar)
        elif info.issym():
            if not info.linkname or "\0" in info.linkname or len(os.fsencode(info.linkname)) >= PATH_BYTES:
                raise BadInput(f"{info.name!r} is a symbolic link to nothing that can be", _HOSTILE)
            os.symlink(info.linkname, name, dir_fd=dirfd)
            os.chown(name, _id(info.uid), _id(info.gid), dir_fd=dirfd, follow_symlinks=False)
            os.utime(name, (_mtime(info), _mtime(info)), dir_fd=dirfd, follow_symlinks=False)
        elif info.isfifo():
            os.mkfifo(name, 0o600, dir_fd=dirfd)
            os.chown(name, _id(info.uid), _id(info.gid), dir_fd=dirfd, follow_symlinks=False)
            os.chmod(name, info.mode & 0o777, dir_fd=dirfd)  # a FIFO just made with O_EXCL semantics: no link
            os.utime(name, (_mtime(info), _mtime(info)), dir_fd=dirfd, follow_symlinks=False)
        else:
            raise BadInput(f"{info.name!r} is of a kind that layers do not have ({info.type!r})", _HOSTILE)

    def _make_directory(self, dirfd: int, name: str, path: str, info: tarfile.TarInfo) -> None:
        was = _remove(dirfd, name, unless=stat.S_ISDIR)
        if not was or not stat.S_ISDIR(was.st_mode):
            os.mkdir(name, 0o700, dir_fd=dirfd)
        with _directory_fd(dirfd, name) as fd:
            if was and whiteouts.is_whiteout(was):
                whiteouts.set_opaque(fd)  # deleted below, made anew here: nothing of the old one may show
            self._apply_directory(fd, path, info)

    def _apply_directory(self, fd: int, path: str, info: tarfile.TarInfo) -> None:
        if not info.isdir():
            raise BadInput(f"{info.name!r} names the layer's top, but is no directory", _HOSTILE)
        _apply(fd, info)
        self._directories[path] = _mtime(info)

    def _file(self, dirfd: int, name: str, info: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        self._content_bytes += info.size
        if self._content_bytes > self._limits.size_bytes:  # a sparse entry's size is not the archive's
            raise BadInput(f"the layer's files hold more than {self._limits.size_bytes} bytes", _HOSTILE)
        source = tar.extractfile(info)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=dirfd)
        with os.fdopen(fd, "wb") as file:
            if source is not None:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            if os.fstat(fd).st_size != info.size:
                raise BadInput(f"{info.name!r} is cut short", _HOSTILE)
            _apply(fd, info)
            os.utime(fd, (_mtime(info), _mtime(info)))

    def _link(self, dirfd: int, name: str, info: tarfile.TarInfo) -> None:
        """A hard link to a file of this layer. The target's parents are resolved like any name; the target is not."""
        parts = split(info.linkname)
        if not parts:
            raise BadInput(f"{info.name!r} is a hard link to nothing", _HOSTILE)
        try:
            above = syscalls.openat2(
                self._top, "/".join(parts[:-1]) or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_RESOLVE
            )
        except OSError as error:
            raise BadInput(f"{info.name!r} is a hard link to {info.linkname!r}: {error}", _HOSTILE) from error
        try:
            target, place = _lstat(above, parts[-1]), _lstat(dirfd, name)
            if target is None or not (stat.S_ISREG(target.st_mode) or stat.S_ISLNK(target.st_mode)):
                raise BadInput(f"{info.name!r} is a hard link to {info.linkname!r}, no file of this layer", _HOSTILE)
            if place is not None and (place.st_dev, place.st_ino) == (target.st_dev, target.st_ino):
                return  # a link to itself; removing the name first would lose the file
            _remove(dirfd, name)
            os.link(parts[-1], name, src_dir_fd=above, dst_dir_fd=dirfd, follow_symlinks=False)
        finally:
            os.close(above)


def split(path: str) -> list[str]:
    """A name in an archive as parts below the top.

    Raises:
        BadInput: `..`, a NUL, a part or a path that is too long.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise BadInput(f"{path[:200]!r} leads out of the layer", _HOSTILE)
    if len(os.fsencode(path)) >= PATH_BYTES or any(len(os.fsencode(part)) > NAME_BYTES for part in parts):
        raise BadInput(f"{path[:80]!r}… is longer than a path may be", _HOSTILE)
    return parts


def _apply(fd: int, info: tarfile.TarInfo) -> None:
    """Owner, xattrs and mode, in the order that keeps them: chown(2) clears set-id bits and file capabilities."""
    os.fchown(fd, _id(info.uid), _id(info.gid))
    for header, value in info.pax_headers.items():
        name = header.removeprefix(XATTR_HEADER)
        if name != header and keeps_xattr(name):
            _set_xattr(fd, name, value.encode("utf-8", "surrogateescape"))
    os.fchmod(fd, info.mode & 0o7777)


def _set_xattr(fd: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except ValueError as error:  # a NUL in the name
        raise BadInput(f"an xattr called {name!r}: {error}", _HOSTILE) from error
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.E2BIG, errno.ERANGE, errno.ENAMETOOLONG):
            raise BadInput(f"the xattr {name[:80]!r} is not valid: {error.strerror}", _HOSTILE) from error
        raise


def _mtime(info: tarfile.TarInfo) -> int:
    """Whole seconds, as pack.py writes them; a PAX header may say anything, also "nan"."""
    return int(info.mtime) if 0 <= info.mtime < 1 << 34 else 0


def _id(number: int) -> int:
    if not 0 <= number <= ID_MAX:
        raise BadInput(f"{number} is no user or group id", _HOSTILE)
    return number


def _lstat(dirfd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dirfd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _remove(dirfd: int, name: str, unless: Callable[[int], bool] | None = None) -> os.stat_result | None:
    """Remove what stands in an entry's place, and say what it was. `unless`: a stat test for what may stay."""
    status = _lstat(dirfd, name)
    if status is None or (unless is not None and unless(status.st_mode)):
        return status
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(name, dir_fd=dirfd)
    else:
        os.unlink(name, dir_fd=dirfd)
    return status


@contextlib.contextmanager
def _directory_fd(dirfd: int, name: str) -> Iterator[int]:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dirfd)
    try:
        yield fd
    finally:
        os.close(fd)
