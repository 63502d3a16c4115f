"""The members of an untrusted archive, found by name and read in place: nothing is ever extracted.

Bounds: how many members, how large a header, how large a document. Symbolic and hard links between members, which old
versions of `docker save` used for shared layers, are followed by name inside the archive only.
"""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from engine.errors import BadInput
from engine.storage import digests
from engine.storage.digests import CHUNK_BYTES, Digest
from engine.storage.stream import READ_BYTES, TAR_ERRORS, Stream, decompress

ARCHIVE_BYTES = 32 * 1024**3
DOCUMENT_BYTES = 4 * 1024 * 1024  # registries bound manifests to this
DAMAGED = "The archive is damaged; save the image again."
_MEMBERS = 10_000  # an image has at most 127 layers; an archive may hold a few images
_LINKS = 8


class Members:
    """The regular files of an archive by name. Links between them (old `docker save`) are followed by name only."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._by_name: dict[str, tarfile.TarInfo] = {}
        while (info := tar.next()) is not None:
            if len(self._by_name) >= _MEMBERS:
                raise BadInput(f"the archive has more than {_MEMBERS} members", DAMAGED)
            self._by_name[posixpath.normpath(info.name)] = info

    def has(self, name: str) -> bool:
        return posixpath.normpath(name) in self._by_name

    def open(self, name: str) -> IO[bytes]:
        """A member, seekable. BadInput where it is not there or no file."""
        path = posixpath.normpath(name)
        for _ in range(_LINKS):
            info = self._by_name.get(path)
            if info is not None and info.isreg() and (file := self._tar.extractfile(info)) is not None:
                return file
            if info is None or not (info.issym() or info.islnk()):
                break
            folder = posixpath.dirname(path) if info.issym() else ""
            path = posixpath.normpath(posixpath.join(folder, info.linkname))
        raise BadInput(f"the archive has no file {name[:200]!r}", DAMAGED)

    def read(self, name: str) -> bytes:
        """A small member's content."""
        with self.open(name) as file:
            data = file.read(DOCUMENT_BYTES + 1)
        if len(data) > DOCUMENT_BYTES:
            raise BadInput(f"{name[:200]!r} in the archive is larger than {DOCUMENT_BYTES} bytes", DAMAGED)
        return data

    def json(self, name: str) -> Any:
        return parse(self.read(name), name)

    def blob(self, digest: Digest) -> bytes:
        """A small blob, its digest checked."""
        data = self.read(blob_name(digest))
        if digests.of_bytes(data) != digest:
            raise BadInput(f"the blob {digest} has another content than its name says", DAMAGED)
        return data


class _Bounded(io.RawIOBase):
    """A file that refuses to read more at once than any honest header needs; see storage/stream.py."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > READ_BYTES:
            raise BadInput(f"the archive asks to read {size} bytes at once", "It is damaged or made to do harm.")
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()


@contextmanager
def opened(archive: BinaryIO, scratch: Path) -> Iterator[Members]:
    """The members of a seekable archive, compressed or not.

    Args:
        scratch: a directory for the uncompressed copy, where one is needed.

    Raises:
        BadInput: it is no tar, or passes the bounds.
    """
    plain = decompress(archive)
    with tempfile.TemporaryFile(dir=scratch) as spool:
        if plain is not archive:  # members are read in any order: what cannot be sought is unpacked first
            _spool(plain, cast("BinaryIO", spool))
        try:
            source = archive if plain is archive else cast("BinaryIO", spool)
            with tarfile.open(fileobj=cast("IO[bytes]", _Bounded(source)), mode="r:") as tar:
                yield Members(tar)
        except TAR_ERRORS as error:
            raise BadInput(f"the file is no image archive: {error}", DAMAGED) from error


def _spool(source: IO[bytes], spool: BinaryIO) -> None:
    stream = Stream(source, ARCHIVE_BYTES)
    while data := stream.read(CHUNK_BYTES):
        spool.write(data)
    spool.seek(0)


def blob_name(digest: Digest) -> str:
    """Where an OCI layout keeps a blob."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def parse(data: bytes, what: str) -> Any:
    """JSON from an archive. BadInput where it is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{what} in the archive is no JSON: {error}", DAMAGED) from error
    return value
