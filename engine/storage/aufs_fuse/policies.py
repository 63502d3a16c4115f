"""Which writable branch a new file goes to, or a file is copied up to: AUFS's create policies (aufs(5)).

    tdp   top-down-parent: the topmost writable branch in which the parent directory lies already
    rr    round-robin: each in turn
    mfs   most-free-space: the one with the most room

All choose among the candidates the union allows: writable, and not below anything that would hide the new name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from engine.storage.aufs_fuse.union import Union


class Chooser:
    """The policy of one union; round-robin remembers whose turn it is."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self._turn = 0

    def candidates(self, union: Union, lowest: int) -> list[int]:
        """The writable branches from the top down to `lowest`.

        Raises:
            OSError: EROFS where there is none; ESTALE where there are, but their directories were removed below us.
        """
        writable = [number for number in range(lowest + 1) if union.open[number].branch.writable]
        found = [number for number in writable if os.fstat(union.open[number].fd).st_nlink]
        if not found:
            reason = errno.ESTALE if writable else errno.EROFS
            raise OSError(reason, os.strerror(reason))
        return found

    def create(self, union: Union, parent: str, lowest: int) -> int:
        """The branch for a new file in `parent`, at `lowest` or above it."""
        candidates = self.candidates(union, lowest)
        if self.policy == "mfs":
            return max(candidates, key=lambda number: (_free(union, number), -number))
        if self.policy == "rr":
            self._turn += 1
            return candidates[(self._turn - 1) % len(candidates)]
        return _with_parent(union, parent, candidates)

    def copy_up(self, union: Union, parent: str, source: int) -> int:
        """The branch a file of branch `source` is copied up to: above it, by top-down-parent whatever the policy."""
        return _with_parent(union, parent, self.candidates(union, source - 1))


def _with_parent(union: Union, parent: str, candidates: Sequence[int]) -> int:
    return next((number for number in candidates if union.stat(number, parent) is not None), candidates[0])


def _free(union: Union, number: int) -> int:
    status = os.fstatvfs(union.open[number].fd)
    return status.f_bavail * status.f_frsize
