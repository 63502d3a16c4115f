"""A forward-only, counted and hashed view of an untrusted byte stream, shaped as `tarfile` wants to read it.

`tarfile` reads a whole PAX header into memory because the header says so; here one read is bounded, so a hostile header
costs nothing. Compressed layers are opened here as well: gzip and xz, recognised by their first bytes; zstd is not in
Python's standard library before 3.14 and is refused by name.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import tarfile
import zlib
from typing import IO

from engine.errors import BadInput, Unsupported
from engine.storage.digests import CHUNK_BYTES, Digest

# What `tarfile` raises for bytes that make no sense: its own errors, and those of int() and float() on header fields.
TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, IndexError)
READ_BYTES = 4 * 1024 * 1024  # the largest single read: a PAX header with all allowed xattrs is far smaller
_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


class Stream:
    """Reads `raw` forward, hashes what passed, refuses to pass more than `limit_bytes`."""

    def __init__(self, raw: IO[bytes], limit_bytes: int) -> None:
        self._raw = raw
        self._limit = limit_bytes
        self._hash = hashlib.sha256()
        self._position = 0

    @property
    def digest(self) -> Digest:
        """The digest of what was read so far."""
        return Digest("sha256:" + self._hash.hexdigest())

    def tell(self) -> int:
        """How many bytes have passed."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end.

        Raises:
            BadInput: a single read above READ_BYTES, or more than `limit_bytes` in all.
        """
        if size < 0 or size > READ_BYTES:
            raise BadInput(f"the archive asks to read {size} bytes at once", "It is damaged or made to do harm.")
        parts = []
        while size:
            data = self._take(size)
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def _take(self, size: int) -> bytes:
        try:
            data = self._raw.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise BadInput(f"the compressed archive is damaged: {error}", "Fetch it again.") from error
        self._hash.update(data)
        self._position += len(data)
        if self._position > self._limit:
            raise BadInput(f"the archive holds more than {self._limit} bytes", "Raise the limit or make it smaller.")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Forward only, by reading.

        Raises:
            BadInput: backwards, which no honest archive needs.
        """
        if whence != 0 or offset < self._position:
            raise BadInput("the archive points backwards", "It is damaged or made to do harm.")
        while self._position < offset:
            if not self._take(min(CHUNK_BYTES, offset - self._position)):
                break
        return self._position

    def drain(self) -> None:
        """Read to the end, so that the digest covers all: writers may pad an archive beyond its last entry."""
        while self._take(CHUNK_BYTES):
            pass


def decompress(raw: IO[bytes]) -> IO[bytes]:
    """A reader of the uncompressed bytes of a seekable file, by its magic number.

    Raises:
        Unsupported: zstd.
    """
    start = raw.tell()
    magic = raw.read(6)
    raw.seek(start)
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if magic.startswith(_XZ):
        return lzma.LZMAFile(raw)
    if magic.startswith(_ZSTD):
        raise Unsupported("the layer is compressed with zstd", "Save the image again with gzip or uncompressed layers.")
    return raw
