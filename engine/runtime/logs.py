"""What a container said, for `hako logs`: while it runs from its rings, afterwards from files beside its record.

Of each output the newest 256 KiB are kept (console.py), of its last run. A file holds the offset of its first byte
(eight bytes, as counted from the container's start) and then the bytes. Two outputs are two files: which line of the
one came before which of the other is not known.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from engine.runtime.stdio import OUTPUTS, TTY, Stdio

_OFFSET = struct.Struct("=Q")


def save(folder: Path, stdio: Stdio | None) -> None:
    """Write down what the rings hold: the container has ended."""
    if stdio is None:
        return
    for name in (TTY, *OUTPUTS):
        file = folder / f"{name}.log"
        console = stdio.consoles.get(name)
        if console is None:
            file.unlink(missing_ok=True)
            continue
        ring = console.ring
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
            out.write(_OFFSET.pack(ring.start) + ring.read(ring.start, ring.head))


def read(folder: Path, stdio: Stdio | None, start: dict[str, int], limit: int) -> dict[str, tuple[int, bytes]]:
    """What each output has from an offset on.

    Args:
        stdio: of a container that this engine has seen; else the files are read.
        start: by name of the output; 0 where none is named.
        limit: bytes of each.

    Returns:
        By name: the offset of the first byte (later than asked for where older ones are gone) and the bytes.
    """
    if stdio is not None:
        found = {}
        for name, console in stdio.consoles.items():
            first = max(start.get(name, 0), console.ring.start)
            found[name] = (first, console.ring.read(first, first + limit))
        return found
    return {
        name: _from_file(folder / f"{name}.log", start.get(name, 0), limit)
        for name in (TTY, *OUTPUTS)
        if (folder / f"{name}.log").exists()
    }


def _from_file(path: Path, start: int, limit: int) -> tuple[int, bytes]:
    with path.open("rb") as file:
        head = file.read(_OFFSET.size)
        oldest = _OFFSET.unpack(head)[0] if len(head) == _OFFSET.size else 0
        first = max(start, oldest)
        file.seek(_OFFSET.size + first - oldest)
        return first, file.read(limit)
