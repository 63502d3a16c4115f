"""How a layer says "this is gone": whiteouts and opaque directories, in overlay's form and in OCI's.

    meaning                    in a directory (overlayfs.rst)                 in a tar (OCI image-spec, layer.md)
    x is deleted               x is a character device 0/0                    an empty file .wh.x
    nothing below shows here   xattr trusted.overlay.opaque = "y"             an empty file .wh..wh..opq

Overlay mounted by root reads `trusted.overlay.*`; mounted with `userxattr` inside a lab it reads `user.overlay.*` and
ignores the other. Both marks are written always, so that one layer serves both. Since Linux 6.7 a whiteout may also be
an empty file with an xattr `overlay.whiteout`; it is understood, never made.

The names `.wh.` come from AUFS, whose on-disk form became OCI's. Nothing here reads or writes tar.
"""

from __future__ import annotations

import errno
import os
import stat

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
INTERNAL_PREFIX = ".wh..wh."  # AUFS's own book-keeping; only OPAQUE means something in a layer

_OPAQUE_XATTRS = ("trusted.overlay.opaque", "user.overlay.opaque")
_WHITEOUT_XATTRS = ("trusted.overlay.whiteout", "user.overlay.whiteout")
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)


def make(dirfd: int, name: str) -> None:
    """Make a whiteout for `name` in a directory. OSError as of mknod(2)."""
    os.mknod(name, stat.S_IFCHR | 0o000, os.makedev(0, 0), dir_fd=dirfd)


def is_whiteout(status: os.stat_result, fd: int | None = None) -> bool:
    """Whether a file in a layer is a whiteout.

    Args:
        status: its lstat(2).
        fd: the file opened for reading, to look for the xattr form as well; it is only asked of empty regular files.
    """
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == os.makedev(0, 0)
    if fd is None or not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    return any(_xattr(fd, name) is not None for name in _WHITEOUT_XATTRS)


def set_opaque(fd: int) -> None:
    """Mark an open directory opaque, for root's overlay and for a lab's. OSError as of setxattr(2)."""
    for name in _OPAQUE_XATTRS:
        os.setxattr(fd, name, b"y")


def is_opaque(fd: int) -> bool:
    """Whether an open directory is marked opaque in either form."""
    return any(_xattr(fd, name) == b"y" for name in _OPAQUE_XATTRS)


def _xattr(fd: int, name: str) -> bytes | None:
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
