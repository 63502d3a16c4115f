"""A directory in overlay's form, written as an OCI layer: one canonical tar (OCI image-spec, layer.md; tar(5), PAX).

Canonical means that the same tree gives the same bytes on every machine and at every time: entries in byte order,
whole-second times, numeric owners without names, PAX headers only where needed. So a layer made here needs no stored
tar: its digest can be computed from the directory, and the tar made again when somebody asks for it.

Sockets are left out, as every engine does. Device nodes are left out too: unpack.py would not make them.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable
from typing import BinaryIO, Protocol

from engine.storage import whiteouts
from engine.storage.digests import CHUNK_BYTES
from engine.storage.tree import Entry, walk

_BLOCK = tarfile.BLOCKSIZE
XATTR_HEADER = "SCHILY.xattr."  # star's PAX keyword, which Docker and everybody after it use for xattrs


class Sink(Protocol):
    """What a tar is written to."""

    def write(self, data: bytes, /) -> int: ...


def pack(top: int | str | os.PathLike[str], out: Sink | BinaryIO) -> int:
    """Write the layer below `top` to `out`.

    Args:
        top: the directory, by path or fd. Its own mode and owner are the first entry, `./`.
        out: gets the tar, uncompressed.

    Returns:
        How many entries were written.

    Raises:
        Exhausted: the tree passes tree.py's bounds.
        OSError: a file that could not be read; the tar is then incomplete.
    """
    return pack_entries(walk(top), out)


def pack_entries(entries: Iterable[Entry | str], out: Sink | BinaryIO) -> int:
    """The same for entries that another chose: a text is the path of a mark, such as "d/.wh.x"."""
    count = 0
    links: dict[tuple[int, int], str] = {}
    for entry in entries:
        if isinstance(entry, str):
            _header(_mark(entry), out)
            count += 1
        else:
            count += _write_entry(entry, links, out)
    out.write(b"\0" * (2 * _BLOCK))  # POSIX: two zero blocks end an archive
    return count


def _write_entry(entry: Entry, links: dict[tuple[int, int], str], out: Sink | BinaryIO) -> int:
    """One entry, and for an opaque directory its mark after it. Returns how many were written."""
    if entry.is_dir:
        _header(_directory(entry), out)
        if not whiteouts.is_opaque(entry.fd):
            return 1
        _header(_mark(f"{entry.path}/{whiteouts.OPAQUE}".lstrip("/")), out)
        return 2
    if stat.S_ISREG(entry.status.st_mode):
        return _write_file(entry, links, out)
    if whiteouts.is_whiteout(entry.status):
        _header(_mark(_whiteout_path(entry)), out)
        return 1
    if stat.S_ISLNK(entry.status.st_mode):
        info = _info(entry, tarfile.SYMTYPE)
        info.linkname = os.readlink(entry.name, dir_fd=entry.dirfd)
        info.mode = 0o777
    elif stat.S_ISFIFO(entry.status.st_mode):
        info = _info(entry, tarfile.FIFOTYPE)
    else:
        return 0
    _header(info, out)
    return 1


def _write_file(entry: Entry, links: dict[tuple[int, int], str], out: Sink | BinaryIO) -> int:
    fd = entry.open()
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if whiteouts.is_whiteout(status, fd):
            _header(_mark(_whiteout_path(entry)), out)
            return 1
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in links:
            info = _info(entry, tarfile.LNKTYPE)
            info.linkname = links[inode]
            _header(info, out)
            return 1
        links[inode] = entry.path
        info = _info(entry, tarfile.REGTYPE)
        info.size = status.st_size
        info.pax_headers = _xattrs(fd)
        _header(info, out)
        _content(file, status.st_size, entry.path, out)
    return 1


def _content(file: BinaryIO, size: int, path: str, out: Sink | BinaryIO) -> None:
    """Exactly `size` bytes and the padding; a file that shrank meanwhile is an error, one that grew is cut."""
    left = size
    while left:
        data = file.read(min(left, CHUNK_BYTES))
        if not data:
            raise OSError(0, f"read({path}): the file shrank while it was packed")
        out.write(data)
        left -= len(data)
    out.write(b"\0" * (-size % _BLOCK))


def _xattrs(fd: int) -> dict[str, str]:
    """The xattrs that belong into a layer, as PAX headers; overlay's own marks are translated, not copied."""
    found = {}
    for name in sorted(os.listxattr(fd)):
        if keeps_xattr(name):
            found[XATTR_HEADER + name] = os.getxattr(fd, name).decode("utf-8", "surrogateescape")
    return found


def keeps_xattr(name: str) -> bool:
    """Which xattrs travel in a layer: file capabilities and the user's own, not `trusted.*`, not overlay's marks."""
    return name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))


def _directory(entry: Entry) -> tarfile.TarInfo:
    info = _info(entry, tarfile.DIRTYPE)
    info.name = (entry.path or ".") + "/"
    info.pax_headers = _xattrs(entry.fd)
    return info


def _whiteout_path(entry: Entry) -> str:
    return entry.path[: len(entry.path) - len(entry.name)] + whiteouts.PREFIX + entry.name


def _mark(path: str) -> tarfile.TarInfo:
    """An empty file that means something: no owner, no time, so that it is the same everywhere."""
    info = tarfile.TarInfo(path)
    info.mode = 0o600
    return info


def _info(entry: Entry, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path)
    info.type = kind
    info.mode = stat.S_IMODE(entry.status.st_mode)
    info.uid, info.gid = entry.status.st_uid, entry.status.st_gid
    info.mtime = max(0, int(entry.status.st_mtime))
    return info


def _header(info: tarfile.TarInfo, out: Sink | BinaryIO) -> None:
    out.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
