"""Which shared libraries a program needs: the question `ldd` answers, asked of the dynamic loader itself (man 8 ld.so).

A program names its loader in the PT_INTERP segment (man 5 elf); `LOADER --list FILE` prints what that loader would map,
with the loader's own search rules and without running a line of the program. Libraries opened later by dlopen(3) do not
show: `base.py` names the few that matter.
"""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_PT_DYNAMIC, _PT_INTERP = 2, 3
_HEADERS = 64  # a program has about a dozen segments; more than this is no program of a distribution
_LIST_LINE = re.compile(r"\s*(?:(\S+) => )?(/\S+|not found)")
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Elf:
    """What the program headers say.

    Args:
        interpreter: path of the dynamic loader; None in a static program and in a library.
        dynamic: whether it has a dynamic section, so libraries to look for.
    """

    interpreter: str | None
    dynamic: bool


def read(path: Path) -> Elf | None:
    """Read a file's program headers; None where it is no 64-bit little-endian ELF file (scripts, data)."""
    with path.open("rb") as file:
        ident = file.read(64)
        if len(ident) < 64 or ident[:6] != b"\x7fELF\x02\x01":
            return None
        offset, size, count = struct.unpack_from("<Q", ident, 32)[0], *struct.unpack_from("<HH", ident, 54)
        if size < 56 or count > _HEADERS:
            return None
        file.seek(offset)
        table = file.read(size * count)
        interpreter, dynamic = None, False
        for start in range(0, len(table) - 55, size):
            kind, _, place, _, _, length = struct.unpack_from("<IIQQQQ", table, start)
            dynamic |= kind == _PT_DYNAMIC
            if kind == _PT_INTERP and length < 4096:
                file.seek(place)
                interpreter = file.read(length).rstrip(b"\0").decode(errors="surrogateescape")
    return Elf(interpreter, dynamic)


@dataclass
class Libraries:
    """Collects the libraries of many files, each asked for once.

    Args:
        loader: the machine's dynamic loader, for libraries, which name none themselves; found at the first program.
        found: paths as the loader gave them, loaders included.
        absent: names the loader did not find.
    """

    loader: str | None = None
    found: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)

    def add(self, path: Path) -> None:
        """Collect what one file needs. Scripts, data and static programs need nothing.

        Raises:
            OSError: the file cannot be read, the loader cannot be run.
            subprocess.TimeoutExpired: the loader did not answer.
        """
        elf = read(path)
        if elf is None or not elf.dynamic:
            return
        loader = elf.interpreter or self.loader
        if loader is None:  # a static-pie program has a dynamic section and no loader
            return
        if elf.interpreter is not None:
            self.loader = self.loader or elf.interpreter
            self.found.add(elf.interpreter)
        # An empty environment: no LD_LIBRARY_PATH, no LD_PRELOAD of the person who started the engine.
        done = subprocess.run(
            [loader, "--list", str(path)], env={}, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        for name, place in _LIST_LINE.findall(done.stdout):
            if place == "not found":
                self.absent.add(name)
            else:
                self.found.add(place)
