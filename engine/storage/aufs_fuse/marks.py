"""The names AUFS keeps on disk, and what each of them means.

    .wh.NAME         NAME is deleted here: whatever lower branches hold is hidden
    .wh..wh..opq     this directory is opaque: nothing of the same directory in lower branches shows
    .wh..wh.*        AUFS's own (aufs, plnk, orph): never shown, never part of a layer but for the one above

The first two are also the whiteouts of OCI layers (image-spec, layer.md), which took them from here. Pure.
"""

from __future__ import annotations

PREFIX = ".wh."
OWN = ".wh..wh."
OPAQUE = ".wh..wh..opq"

#: NAME_MAX is 255 bytes, and a mark needs four of them (aufs(5), "whiteout").
NAME_BYTES = 255 - len(PREFIX)


def whiteout(name: str) -> str:
    """The mark that hides `name`."""
    return PREFIX + name


def hidden_by(mark: str) -> str | None:
    """The name a mark hides; None where it is not such a mark."""
    if mark.startswith(OWN) or not mark.startswith(PREFIX) or mark == PREFIX:
        return None
    return mark[len(PREFIX) :]


def is_mark(name: str) -> bool:
    """Whether a name on disk is a mark of ours and so no file of the union."""
    return name.startswith(PREFIX)


def is_allowed(name: str) -> bool:
    """Whether a file of the union may have this name: a mark's name would become a mark (EPERM in AUFS)."""
    return not name.startswith(PREFIX) and len(name.encode("utf-8", "surrogateescape")) <= NAME_BYTES
