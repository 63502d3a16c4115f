"""How a layer says "this is gone": whiteouts and opaque directories, in overlay's form and in OCI's.

    meaning                    in a directory (overlayfs.rst)                 in a tar (OCI image-spec, layer.md)
    x is deleted               x is a character device 0/0                    an empty file .wh.x
    nothing below shows here   xattr trusted.overlay.opaque = "y"             an empty file .wh..wh..opq

Overlay mounted by root reads `trusted.overlay.*`; mounted with `userxattr` inside a lab it reads `user.overlay.*` and
ignores the other. Both marks are written always, so that one layer serves both. Since Linux 6.7 a whiteout may also be
an empty file with an xattr `overlay.whiteout`; it is understood, never made.

The names `.wh.` come from AUFS, whose on-disk form became OCI's: `shows` reads a layer in either form. Layers may be
hostile: each step opens one name in a directory that is open already and follows no link. Nothing here reads or writes
tar.
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
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
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


def hides_lower(parent: int, name: str, *, aufs: bool = False) -> bool:
    """Whether a directory is marked opaque, in overlay's form or in AUFS's; False where it cannot be opened."""
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except OSError:
        return False
    try:
        return _is(fd, OPAQUE) if aufs else is_opaque(fd)
    except OSError:
        return False
    finally:
        os.close(fd)


def shows(top: int, path: str, *, aufs: bool = False, marks: bool = True) -> bool | None:
    """What one layer says of a path: it has it, it hides it, or (None) nothing, so that the next one decides.

    Args:
        top: the layer, an open directory.
        aufs: its marks are AUFS's, not overlay's.
        marks: its AUFS marks count (`ro+wh`, `rw`).
    """
    held: list[int] = []
    fd, hidden = top, None
    parts = path.strip("/").split("/")
    try:
        for depth, name in enumerate(parts, 1):
            if aufs and marks and _is(fd, PREFIX + name):
                return False
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except (OSError, ValueError):
                return hidden
            if not aufs and is_whiteout(status):
                return False
            if depth == len(parts):
                return True
            if not stat.S_ISDIR(status.st_mode):
                return False  # a file where the path wants a directory hides all that is below
            if (marks or not aufs) and hides_lower(fd, name, aufs=aufs):
                hidden = False
            fd = os.open(name, _OPEN, dir_fd=fd)
            held.append(fd)
        return hidden
    except OSError:
        return hidden
    finally:
        for each in held:
            os.close(each)


def _is(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return True


def _xattr(fd: int, name: str) -> bytes | None:
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
