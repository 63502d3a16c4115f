"""A layer in AUFS's form: the same files by hard links, with overlay's marks written as AUFS writes them.

Layers lie on disk in overlay's form (whiteouts.py). Most have no marks and serve as they are. One that has gets a
sibling directory, made once: `.wh.x` instead of a device 0/0, `.wh..wh..opq` instead of an xattr. It costs names, no
content, and goes with its layer. A layer of which there is only an fd is taken as it is.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from engine.storage import whiteouts
from engine.storage.tree import Entry, walk
from engine.storage.union import Place

SIBLING = "aufs"


def translated(layer: Place) -> Place:
    """The directory to give to AUFS for a layer.

    Raises:
        OSError: it cannot be read, or nothing can be written beside it.
    """
    if isinstance(layer, int):
        return layer
    layer = Path(layer)
    sibling = layer.with_name(SIBLING)
    if layer.name == SIBLING or not any(_has_mark(entry) for entry in walk(layer)):
        return layer
    if not sibling.is_dir():
        _make(layer, sibling)
    return sibling


def _has_mark(entry: Entry) -> bool:
    return whiteouts.is_opaque(entry.fd) if entry.is_dir else whiteouts.is_whiteout(entry.status)


def _make(layer: Path, sibling: Path) -> None:
    """Build it under another name; who comes second finds it there."""
    built = Path(tempfile.mkdtemp(prefix=f".{SIBLING}-", dir=sibling.parent))
    try:
        for entry in walk(layer):
            _put(entry, built / entry.path)
        built.rename(sibling)
    except FileExistsError:
        shutil.rmtree(built)
    except OSError:
        shutil.rmtree(built)
        if not sibling.is_dir():
            raise


def _put(entry: Entry, target: Path) -> None:
    if entry.is_dir:
        target.mkdir(exist_ok=not entry.path)
        os.chown(target, entry.status.st_uid, entry.status.st_gid)
        target.chmod(stat.S_IMODE(entry.status.st_mode))
        for name in os.listxattr(entry.fd):
            if name.startswith("user.") and not name.startswith("user.overlay."):
                os.setxattr(target, name, os.getxattr(entry.fd, name))
        if whiteouts.is_opaque(entry.fd):
            (target / whiteouts.OPAQUE).touch(0o444)
    elif whiteouts.is_whiteout(entry.status):
        target.with_name(whiteouts.PREFIX + target.name).touch(0o444)
    else:
        os.link(entry.name, target, src_dir_fd=entry.dirfd, follow_symlinks=False)
