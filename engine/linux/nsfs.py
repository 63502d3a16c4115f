"""Namespaces as files: who owns one, which one is its parent. See ioctl_ns(2), namespaces(7).

An fd on a namespace is got by opening a link in /proc/PID/ns, a bind mount of one, or the link of somebody's fd on one.
It keeps the namespace alive while it is open, so every function here that opens one is to be used with `closing`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

_NS_GET_USERNS = 0xB701
_NS_GET_PARENT = 0xB702


@contextmanager
def opened(path: str) -> Iterator[int]:
    """An fd on the namespace at `path`, closed at the end of the block. Raises OSError as open(2) does."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        yield fd
    finally:
        os.close(fd)


def inode(fd: int) -> int:
    """The namespace's number, the one in `uts:[4026531838]`."""
    return os.fstat(fd).st_ino


def owner(fd: int) -> int | None:
    """The inode of the user namespace that owns this one; None if it lies outside the caller's."""
    return _related(fd, _NS_GET_USERNS)


def parent(fd: int) -> int | None:
    """The inode of the parent of a pid or user namespace; None at the top of what the caller may see."""
    return _related(fd, _NS_GET_PARENT)


def _related(fd: int, request: int) -> int | None:
    try:
        other = fcntl.ioctl(fd, request)
    except OSError:  # EPERM: outside the caller's scope; EINVAL: this kind has no parent; ENOTTY: no namespace
        return None
    try:
        return os.fstat(other).st_ino
    finally:
        os.close(other)
