"""User and group id maps, and the blocks of host ids they are cut from. See user_namespaces(7).

An id map says which ids inside a user namespace stand for which ids outside it: lines of "inside outside count" in
/proc/PID/uid_map and gid_map, written once. `BlockAllocator` hands out exclusive blocks of host ids, so that no lab
has an id in common with another lab or with a person on the machine.

Pure but for the allocator's state file. It does not write maps: the zygote does, with bytes made by `format_map`.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput, Exhausted, Failed

#: What one user namespace usually maps, and what /etc/subuid hands out: 0 to 65535, `nobody` (65534) included.
BLOCK_SIZE = 65_536

#: Ids from 2^31 on upset programs that keep them in an int, and systemd has given the block below that to files of
#: foreign origin (systemd.io/UIDS-GIDS): blocks end before both.
ID_END = 2_147_352_576

#: The kernel takes at most 340 lines (user_namespaces(7)).
MAX_LINES = 340

_ID_LIMIT = 2**32 - 1


@dataclass(frozen=True)
class IdMap:
    """`size` ids: `container_id`, … inside are `host_id`, … outside (seen from the namespace of who reads the map)."""

    container_id: int
    host_id: int
    size: int

    def __post_init__(self) -> None:
        ends = (self.container_id + self.size, self.host_id + self.size)
        if self.size < 1 or min(self.container_id, self.host_id) < 0 or max(ends) > _ID_LIMIT:
            raise BadInput(f"The id map {self.container_id} {self.host_id} {self.size} is not a range of ids.")

    def to_host(self, container_id: int) -> int | None:
        """The outside id of an inside one, None where this line does not map it."""
        offset = container_id - self.container_id
        return self.host_id + offset if 0 <= offset < self.size else None

    def to_container(self, host_id: int) -> int | None:
        """The inside id of an outside one, None where this line does not map it."""
        offset = host_id - self.host_id
        return self.container_id + offset if 0 <= offset < self.size else None


def format_map(lines: Iterable[IdMap]) -> bytes:
    """The bytes for /proc/PID/uid_map or gid_map; they must go out in one write(2).

    Raises:
        BadInput: no line, too many, or two that overlap on one side (the kernel would say EINVAL).
    """
    entries = list(lines)
    if not 1 <= len(entries) <= MAX_LINES:
        raise BadInput(f"An id map has 1 to {MAX_LINES} lines, this has {len(entries)}.")
    for side in ("container_id", "host_id"):
        starts = sorted((getattr(entry, side), entry.size) for entry in entries)
        for (start, size), (following, _) in itertools.pairwise(starts):
            if start + size > following:
                raise BadInput(f"Two lines of an id map overlap at {following} ({side}).")
    return "".join(f"{entry.container_id} {entry.host_id} {entry.size}\n" for entry in entries).encode()


def parse_map(text: bytes | str) -> tuple[IdMap, ...]:
    """The lines of a uid_map or gid_map file; an empty file (no map written yet) is an empty tuple.

    Raises:
        BadInput: a line is not three numbers. The whole of the initial namespace, `0 0 4294967295`, is accepted.
    """
    decoded = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    entries = []
    for line in decoded.splitlines():
        fields = line.split()
        if len(fields) != 3 or not all(field.isascii() and field.isdigit() for field in fields):
            raise BadInput(f"{line!r} is not a line of an id map.", "It has three numbers: inside, outside, count.")
        entries.append(IdMap(*(int(field) for field in fields)))
    return tuple(entries)


def to_container(lines: Iterable[IdMap], host_id: int) -> int | None:
    """The inside id of an outside one through a whole map, None where it is not mapped."""
    return next((found for line in lines if (found := line.to_container(host_id)) is not None), None)


class BlockAllocator:
    """Blocks of 65,536 host ids, each owned by one name until it is released.

    A block must not be released before the files with its ids are gone: the next owner would own them.
    To make a mistake there as unlikely as can be, blocks are handed out in a circle, so a released one comes back last,
    and the circle begins at a place that depends on the instance, so that two engines on one machine do not meet.

    One process uses a state file at a time (the daemon); threads of it may share the allocator.

    Args:
        state: file that remembers owners over a restart; its directory must exist.
        id_base: the first id that may be handed out.
        instance: the engine's name.
        id_end: the first id that may not.
    """

    def __init__(self, state: Path, id_base: int, instance: str = "hako", id_end: int = ID_END) -> None:
        self._state = state
        self._base = id_base
        self._count = (id_end - id_base) // BLOCK_SIZE
        if self._count < 1 or id_base < BLOCK_SIZE:
            raise BadInput(
                f"No block of {BLOCK_SIZE} ids fits between {id_base} and {id_end}.",
                f"Set id_base to between {BLOCK_SIZE} and {id_end - BLOCK_SIZE}.",
            )
        self._lock = threading.Lock()
        self._next = zlib.crc32(instance.encode()) % self._count
        self._first_ids: dict[str, int] = {}
        self._load()

    def allocate(self, owner: str) -> IdMap:
        """The block of `owner`, taken now if it has none.

        Raises:
            Exhausted: every block is taken.
        """
        with self._lock:
            if owner not in self._first_ids:
                self._first_ids[owner] = self._take()
                self._save()
            return IdMap(0, self._first_ids[owner], BLOCK_SIZE)

    def get(self, owner: str) -> IdMap | None:
        """The block of `owner`, None if it has none."""
        with self._lock:
            first = self._first_ids.get(owner)
            return None if first is None else IdMap(0, first, BLOCK_SIZE)

    def release(self, owner: str) -> None:
        """Give the block of `owner` back; nothing happens if it has none. Call it when its files are gone."""
        with self._lock:
            if self._first_ids.pop(owner, None) is not None:
                self._save()

    def owners(self) -> tuple[str, ...]:
        """Every name that has a block."""
        with self._lock:
            return tuple(self._first_ids)

    def _take(self) -> int:
        taken = set(self._first_ids.values())
        for step in range(self._count):
            block = (self._next + step) % self._count
            first = self._base + block * BLOCK_SIZE
            # Compared by ids, not by block: an owner from before a change of id_base may lie across two of today's.
            if all(abs(first - other) >= BLOCK_SIZE for other in taken):
                self._next = (block + 1) % self._count
                return first
        raise Exhausted(f"All {self._count} blocks of ids are taken.", "End a lab, or give a lower id_base.")

    def _load(self) -> None:
        try:
            kept = json.loads(self._state.read_bytes())
            first_ids = {str(owner): int(first) for owner, first in kept["first_ids"].items()}
            following = int(kept["next"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Guessing here could give one block to two labs.
            raise Failed(
                f"{self._state} is not the list of id blocks it should be: {error!r}.",
                "End all labs, remove what is left of them and delete this file.",
            ) from error
        self._first_ids, self._next = first_ids, following % self._count

    def _save(self) -> None:
        # Renamed into place, so a reader or a crash sees the old list or the new one. No fsync: a machine that lost
        # power has lost the labs as well, and start-up removes their files before it hands out anything.
        fresh = self._state.with_name(self._state.name + ".new")
        fresh.write_text(json.dumps({"next": self._next, "first_ids": self._first_ids}))
        os.replace(fresh, self._state)
