"""Digests: the names of content (OCI image-spec, descriptor.md, "Digests"). Only sha256, which every registry has.

A `Digest` is a string that was checked; a plain `str` was not. `Hashing` is the thin edge where bytes become a digest.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, NewType

from engine.errors import BadInput

Digest = NewType("Digest", str)

_FORM = re.compile(r"sha256:[0-9a-f]{64}\Z")
CHUNK_BYTES = 1 << 18  # one read: large enough to keep sha256 busy, small enough to stay in the cache


def parse(text: str) -> Digest:
    """Check a digest.

    Raises:
        BadInput: anything but `sha256:` and 64 lower-case hexadecimal digits.
    """
    if not _FORM.match(text):
        raise BadInput(f"{text[:80]!r} is not a digest", "A digest is sha256: and 64 hexadecimal digits.")
    return Digest(text)


def of_bytes(data: bytes) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def of_file(path: Path) -> Digest:
    """The digest of a file's content, read in chunks."""
    with path.open("rb") as file:
        return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())


def folder_name(digest: Digest) -> str:
    """A digest as a file name: the colon of an overlay option string would have to be escaped, a hyphen has not."""
    return digest.replace(":", "-")


def from_folder_name(name: str) -> Digest | None:
    """The digest behind a folder's name, None for other folders."""
    text = name.replace("-", ":", 1)
    return Digest(text) if _FORM.match(text) else None


class Hashing:
    """Counts and hashes what passes through; `out` may be None where only the digest is wanted.

    `tarfile` writes to it, so it has the one method that needs.
    """

    def __init__(self, out: BinaryIO | None = None) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        """Pass `data` on."""
        self._hash.update(data)
        self.size_bytes += len(data)
        if self._out is not None:
            self._out.write(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of all that was written so far."""
        return Digest("sha256:" + self._hash.hexdigest())
