"""What a union tells those who look at it from outside: its branches, which no mount table shows.

The kernel's AUFS has files in sysfs for that (`/sys/fs/aufs/si_…/br0`). A process cannot make those, and may be asked
nothing from outside: a FUSE mount answers only its own user namespace. So it keeps what it is in an anonymous file
(memfd_create(2)) which the engine finds among its descriptors, by name, in /proc/PID/fd. Fields end in NUL, the first
is their number, so that half a text is seen to be one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from engine.storage.aufs_fuse.options import Options

NAME = "hako-aufs"
#: What readlink(2) says of such a descriptor.
LINK = f"/memfd:{NAME} (deleted)"
#: The name of the process (comm) that serves a mount.
PROCESS = "mount.aufs"
#: 127 branches whose paths have a page between them fit well.
MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class State:
    """A mounted union: where, its policy, and its branches as sysfs would show them ("/rw=rw"), topmost first."""

    target: str
    create: str
    readonly: bool
    branches: tuple[str, ...]


def encode(target: str, options: Options) -> bytes:
    """The text of a state."""
    words = [target, options.create, "ro" if options.readonly else "rw", *(str(branch) for branch in options.branches)]
    return os.fsencode("".join(f"{word}\0" for word in [str(len(words)), *words]))


def decode(raw: bytes) -> State | None:
    """The state a text tells; None where it is not whole."""
    number, *words = os.fsdecode(raw).split("\0")
    if not number.isdecimal() or len(number) > 4 or len(words) <= int(number) or int(number) < 4:
        return None
    target, create, mode, *branches = words[: int(number)]
    return State(target, create, mode == "ro", tuple(branches))


def keep(target: str) -> Callable[[Options], None]:
    """Make the file; call what is returned with the options whenever they change."""
    fd = os.memfd_create(NAME, os.MFD_CLOEXEC)

    def tell(options: Options) -> None:
        raw = encode(target, options)
        os.pwrite(fd, raw, 0)
        os.ftruncate(fd, len(raw))

    return tell
