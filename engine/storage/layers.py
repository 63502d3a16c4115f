"""The layer store: one directory per layer, named by its content (OCI image-spec, layer.md and config.md, `diff_id`).

    <data>/layers/                    0700 root: what is inside may be setuid
      sha256-<64 hex>/fs/             the layer, in overlay's form; owners as in the layer, ids of the host
      sha256-<64 hex>/layer.json      its size and number of entries
      .staging-*                      being made; swept at the next start

A layer's name is its diff_id: the digest of its uncompressed tar. A layer appears by rename(2), whole or not at all,
and never changes afterwards, so it may be the lower of any number of mounts at once. Blobs are the image store's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, BinaryIO

from engine.errors import BadInput, NotFound
from engine.storage import digests, pack
from engine.storage.digests import Digest, Hashing
from engine.storage.stream import decompress
from engine.storage.unpack import LIMITS, Limits, unpack

_STAGING = ".staging-"


@dataclass(frozen=True)
class Layer:
    """A layer in the store.

    Args:
        diff_id: digest of its uncompressed tar.
        path: its directory, ready to be a lowerdir.
        size_bytes: of the uncompressed tar.
        entries: files, directories and marks in it.
    """

    diff_id: Digest
    path: Path
    size_bytes: int
    entries: int


class LayerStore:
    """The layers of one engine. Safe to use from several processes: all it does is rename whole directories."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get(self, diff_id: Digest) -> Layer:
        """A layer by its diff_id.

        Raises:
            NotFound: it is not here.
        """
        folder = self.root / digests.folder_name(diff_id)
        try:
            facts = json.loads((folder / "layer.json").read_text())
        except FileNotFoundError:
            raise NotFound(f"there is no layer {diff_id}", "Load or build the image again.") from None
        return Layer(diff_id, folder / "fs", facts["size_bytes"], facts["entries"])

    def has(self, diff_id: Digest) -> bool:
        """Whether a layer is here."""
        return (self.root / digests.folder_name(diff_id) / "layer.json").is_file()

    def all(self) -> list[Digest]:
        """All layers, by name."""
        found = (digests.from_folder_name(entry.name) for entry in self.root.iterdir())
        return sorted(digest for digest in found if digest and self.has(digest))

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new directory on the store's file system to build a layer in, removed at the end unless adopted."""
        folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.root))
        top = folder / "fs"
        top.mkdir(mode=0o755)
        top.chmod(0o755)  # whatever the umask says: this is the root directory others will see
        try:
            yield top
        finally:
            if folder.exists():  # not adopted
                shutil.rmtree(folder)

    def adopt(self, staged: Path) -> Layer:
        """Make a directory built in `staging()` a layer: hash it, name it, move it into its place."""
        out = Hashing()
        entries = pack.pack(staged, out)
        if self.has(out.digest) and not self.verify(out.digest):
            self.remove(out.digest)  # a power cut can leave files of a young layer empty; what is here now is whole
        return self._settle(staged, Layer(out.digest, staged, out.size_bytes, entries))

    def add_tar(self, archive: IO[bytes], expected: Digest | None = None, limits: Limits = LIMITS) -> Layer:
        """Unpack a layer's tar, compressed or not, and keep it.

        Args:
            archive: seekable.
            expected: the diff_id that the image's config promises.

        Raises:
            BadInput: a hostile entry, too large, or another digest than promised; nothing is kept.
            Unsupported: a compression we cannot read.
        """
        with self.staging() as staged:
            top = os.open(staged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                result = unpack(decompress(archive), top, limits)
            finally:
                os.close(top)
            if expected is not None and result.diff_id != expected:
                raise BadInput(f"the layer is {result.diff_id}, not {expected} as promised", "Fetch the image again.")
            return self._settle(staged, Layer(result.diff_id, staged, result.size_bytes, result.entries))

    def write_tar(self, diff_id: Digest, out: BinaryIO) -> Digest:
        """Write a layer as its canonical tar. Returns that tar's digest: for layers made here it is the diff_id."""
        hashing = Hashing(out)
        pack.pack(self.get(diff_id).path, hashing)
        return hashing.digest

    def verify(self, diff_id: Digest) -> bool:
        """Whether the directory still has the content it is named after. For layers made here, not for foreign ones."""
        out = Hashing()
        pack.pack(self.get(diff_id).path, out)
        return out.digest == diff_id

    def remove(self, diff_id: Digest) -> None:
        """Remove a layer that nothing uses any more; the caller knows. Removing what is not here is no error."""
        folder = self.root / digests.folder_name(diff_id)
        doomed = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.root))
        with contextlib.suppress(FileNotFoundError):
            # Out of sight first: a removal cut short must not leave a layer that looks whole.
            folder.rename(doomed / "layer")
        shutil.rmtree(doomed)

    def sweep(self) -> int:
        """Remove what builders left that died. To be called when none is at work. Returns how many there were."""
        leftovers = [entry for entry in self.root.iterdir() if entry.name.startswith(_STAGING)]
        for entry in leftovers:
            shutil.rmtree(entry)
        return len(leftovers)

    def _settle(self, staged: Path, layer: Layer) -> Layer:
        facts = {name: value for name, value in asdict(layer).items() if name in ("size_bytes", "entries")}
        (staged.parent / "layer.json").write_text(json.dumps(facts))
        os.chmod(staged.parent, 0o755)  # mkdtemp made it 0700; the store's own 0700 is what keeps others out
        target = self.root / digests.folder_name(layer.diff_id)
        try:
            os.rename(staged.parent, target)
        except OSError:
            # ENOTEMPTY, EEXIST: somebody was faster with the same content; theirs is as good as ours.
            if not self.has(layer.diff_id):
                raise
        return self.get(layer.diff_id)
