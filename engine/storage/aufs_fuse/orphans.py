"""Files that are open and have lost their name: they live until the last close(2), as everywhere (unlink(2)).

libfuse asks for that by renaming such a file to `.fuse_hidden…` and unlinking that name at the end. No name is made
here: the file is deleted at once, a descriptor keeps it, and the hidden name stands for the descriptor.
"""

from __future__ import annotations

import os
import re

#: libfuse's name: the number of its node and a counter. Nobody else has reason to use one.
_HIDDEN = re.compile(r"\.fuse_hidden[0-9a-f]{16}")
#: A directory removed meanwhile leaves libfuse without the name to unlink: of those, so many are kept.
MOST = 512


def is_hidden(path: str) -> bool:
    """Whether this is a name that libfuse gives to what is deleted while it is open."""
    return _HIDDEN.fullmatch(path.rpartition("/")[2]) is not None


class Orphans:
    """Descriptors of deleted files, by hidden name, and whether each may still be changed."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, bool]] = {}

    def add(self, path: str, fd: int, *, writable: bool) -> None:
        """Keep a file, which belongs to this object from now on."""
        self._files[path.rpartition("/")[2]] = (fd, writable)
        if len(self._files) > MOST:
            os.close(self._files.pop(next(iter(self._files)))[0])

    def get(self, path: str) -> tuple[int, bool] | None:
        """The descriptor and whether it may be changed; None where the name stands for nothing."""
        return self._files.get(path.rpartition("/")[2])

    def forget(self, path: str) -> bool:
        """Let a file go; False where the name stands for nothing."""
        kept = self._files.pop(path.rpartition("/")[2], None)
        if kept is not None:
            os.close(kept[0])
        return kept is not None

    def close(self) -> None:
        """Let all go."""
        for fd, _ in self._files.values():
            os.close(fd)
        self._files.clear()
