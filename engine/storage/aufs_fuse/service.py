"""The union behind FUSE: each call of the kernel, turned over to filesystem.py.

One process serves one mount, one call after the other. A remount reaches it as an extended attribute set on the root of
the mount, which is the one door that needs no socket and no second file: helper.py writes it, `_remount` carries it
out. What cannot be done is an errno to the kernel; the words behind a refused remount can be read back from the same
attribute. See fuse(4), the kernel's Documentation/filesystems/fuse, and mfusepy.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import mfusepy

from engine.errors import EngineError
from engine.storage.aufs_fuse.filesystem import FileSystem, relative
from engine.storage.aufs_fuse.options import Options

#: Setting it on the root of the mount carries out a remount; reading it gives the options as they are now.
CONTROL = "user.hako.aufs"

RENAME_NOREPLACE = 1

Times = tuple[int | None, int | None]

_STAT = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_rdev", "st_blocks", "st_blksize")
_STATVFS = (
    *("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail"),
    *("f_files", "f_ffree", "f_favail", "f_flag", "f_namemax"),
)


class Service(mfusepy.Operations):  # type: ignore[misc]
    """FUSE's operations. An open file is known by its descriptor.

    Args:
        tell: is told the options whenever they change (state.py).
    """

    use_ns = True

    def __init__(self, files: FileSystem, tell: Callable[[Options], None]) -> None:
        self.files, self._tell = files, tell
        tell(files.options)
        self._refused = ""

    # Looking

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        """stat(2): of the open file if there is one, since its name may be gone."""
        seen = self.files.lstat(_named(path)) if fh is None else os.fstat(fh)
        found: dict[str, Any] = {name: getattr(seen, name) for name in _STAT}
        return found | {
            "st_atime": seen.st_atime_ns, "st_mtime": seen.st_mtime_ns, "st_ctime": seen.st_ctime_ns,
        }  # fmt: skip

    def readdir(self, path: str, fh: int) -> list[str]:
        """getdents(2): the whole listing at once, so that it is of one moment."""
        return [".", "..", *self.files.listdir(relative(path))]

    def readlink(self, path: str) -> str:
        """readlink(2)."""
        return self.files.readlink(relative(path))

    def statfs(self, path: str) -> dict[str, int]:
        """statfs(2)."""
        seen = self.files.statvfs()
        return {name: getattr(seen, name) for name in _STATVFS}

    # Files

    def open(self, path: str, flags: int) -> int:
        """open(2)."""
        return self.files.open(relative(path), flags)

    def create(self, path: str, mode: int, fi: object = None) -> int:
        """open(2) with O_CREAT."""
        return self.files.create(relative(path), mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """pread(2)."""
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """pwrite(2)."""
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        """truncate(2), ftruncate(2)."""
        if fh is not None:
            os.ftruncate(fh, length)
        else:
            self.files.truncate(_named(path), length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """fsync(2)."""
        os.fsync(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        """The last close(2)."""
        self.files.release(fh)
        return 0

    # Names

    def mkdir(self, path: str, mode: int) -> int:
        """mkdir(2)."""
        self.files.mkdir(relative(path), mode)
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """mknod(2)."""
        self.files.mknod(relative(path), mode, dev)
        return 0

    def symlink(self, target: str, source: str) -> int:
        """symlink(2); mfusepy names the new link first."""
        self.files.symlink(source, relative(target))
        return 0

    def link(self, target: str, source: str) -> int:
        """link(2); mfusepy names the new name first."""
        self.files.link(relative(source), relative(target))
        return 0

    def unlink(self, path: str) -> int:
        """unlink(2)."""
        self.files.unlink(relative(path))
        return 0

    def rmdir(self, path: str) -> int:
        """rmdir(2)."""
        self.files.rmdir(relative(path))
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        """rename(2); of renameat2(2)'s flags RENAME_NOREPLACE."""
        if flags & ~RENAME_NOREPLACE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self.files.rename(relative(old), relative(new), replace=not flags)
        return 0

    # What belongs to a file

    def chmod(self, path: str | None, mode: int, fh: int | None = None) -> int:
        """chmod(2), fchmod(2)."""
        with self._changed(path) as held:
            os.chmod(held, mode & 0o7777)
        return 0

    def chown(self, path: str | None, uid: int, gid: int, fh: int | None = None) -> int:
        """chown(2), fchown(2), lchown(2); -1 keeps."""
        with self._changed(path) as held:
            os.chown(held, uid, gid)
        return 0

    def utimens(self, path: str | None, times: Times | None = None, fh: int | None = None) -> int:
        """utimensat(2): nanoseconds, None for now, -1 for a time that stays."""
        with self._changed(path) as held:
            seen, now = os.stat(held), time.time_ns()
            both = zip(times or (None, None), (seen.st_atime_ns, seen.st_mtime_ns), strict=True)
            access, change = (now if wanted is None else old if wanted < 0 else wanted for wanted, old in both)
            os.utime(held, ns=(access, change))
        return 0

    def listxattr(self, path: str) -> list[str]:
        """listxattr(2)."""
        return self.files.listxattr(relative(path))

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        """getxattr(2)."""
        if path == "/" and name == CONTROL:
            return (self._refused or str(self.files.options)).encode()
        return self.files.getxattr(relative(path), name)

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        """setxattr(2), and the door for a remount."""
        if path == "/" and name == CONTROL:
            return self._remount(value.decode("utf-8", "surrogateescape"))
        self.files.setxattr(relative(path), name, value, options)
        return 0

    def removexattr(self, path: str, name: str) -> int:
        """removexattr(2)."""
        self.files.removexattr(relative(path), name)
        return 0

    def destroy(self, path: str) -> None:
        """The mount has ended."""
        self.files.close()

    def _changed(self, path: str | None) -> AbstractContextManager[str]:
        return self.files.changed(_named(path))

    def _remount(self, text: str) -> int:
        try:
            self.files.remount(text)
        except EngineError as error:
            self._refused = str(error)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from error
        self._refused = ""
        self._tell(self.files.options)
        return 0


def _named(path: str | None) -> str:
    if path is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return relative(path)
