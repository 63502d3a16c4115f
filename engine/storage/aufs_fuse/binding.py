"""What mfusepy leaves out of FUSE's third version: the open file of a call that has one, rename's flags, and "now".

Each method here is a callback of libfuse, found by its name; the others are mfusepy's own. A call on a file that is
open comes with its handle, and without a path once its name is gone. See libfuse's fuse.h, utimensat(2), rename(2).
"""

from __future__ import annotations

from typing import Any

import mfusepy

_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


class Binding(mfusepy.FUSE):  # type: ignore[misc]
    """Serves a mount until it is unmounted; see Service for what it calls."""

    def truncate_fuse_3(self, path: bytes | None, length: int, info: Any) -> int:
        """truncate(2), ftruncate(2)."""
        return int(self.operations.truncate(self._text(path), length, _handle(info)))

    def chmod_fuse_3(self, path: bytes | None, mode: int, info: Any) -> int:
        """chmod(2), fchmod(2)."""
        return int(self.operations.chmod(self._text(path), mode, _handle(info)))

    def chown_fuse_3(self, path: bytes | None, uid: int, gid: int, info: Any) -> int:
        """chown(2), fchown(2); 2^32-1 is an id that stays."""
        uid, gid = (-1 if number == 0xFFFFFFFF else number for number in (uid, gid))
        return int(self.operations.chown(self._text(path), uid, gid, _handle(info)))

    def utimens_fuse_3(self, path: bytes | None, times: Any, info: Any) -> int:
        """utimensat(2), futimens(2)."""
        both = (None, None) if not times else (_time(times.contents.actime), _time(times.contents.modtime))
        return int(self.operations.utimens(self._text(path), both, _handle(info)))

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """renameat2(2)."""
        return int(self.operations.rename(self._text(old), self._text(new), flags))

    def _text(self, path: bytes | None) -> str | None:
        return None if path is None else path.decode(self.encoding, self.errors)


def _handle(info: Any) -> int | None:
    return int(info.contents.fh) if info else None


def _time(spec: Any) -> int | None:
    """Nanoseconds; None for now, -1 for a time that stays."""
    if spec.tv_nsec == _UTIME_NOW:
        return None
    return -1 if spec.tv_nsec == _UTIME_OMIT else spec.tv_sec * 1_000_000_000 + spec.tv_nsec
