"""The image store: an OCI image layout (image-spec, image-layout.md) whose layers lie unpacked in the layer store.

    <data>/images/oci-layout            {"imageLayoutVersion": "1.0.0"}
    <data>/images/index.json            one descriptor per name; `org.opencontainers.image.ref.name` is the full name
    <data>/images/blobs/sha256/<hex>    manifests and configs; a layer's tar only where it came from outside
    <data>/layers/                      storage/layers.py

An image's id is its config's digest, as in Docker: it says what the image is, however its layers were compressed. A
layer made here has no blob: its tar is canonical and can be written again at any time (storage/pack.py).
Changes to index.json happen under an flock(2) and by rename(2), so that daemon and command line may both write.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from engine.errors import BadInput, Failed, NotFound
from engine.images import reference
from engine.images.reference import Reference
from engine.storage import digests
from engine.storage.digests import Digest, Hashing
from engine.storage.layers import Layer, LayerStore

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
JSON_BYTES = 4 * 1024 * 1024  # registries bound manifests to this; a config is of the same order

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})\Z")
Json = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """An image, ready to be mounted.

    Args:
        ref: the name it was found by; for one found by id its first name.
        digest: of the manifest.
        id: of the config; what Docker calls the image's id.
        config: the OCI image config (image-spec, config.md): `config.Env`, `config.Cmd`, `rootfs.diff_ids`, …
        layers: directories, the lowest first.
    """

    ref: Reference
    digest: Digest
    id: Digest
    config: Json
    layers: list[Path]

    @property
    def labels(self) -> dict[str, str]:
        """`config.Labels`, empty where there are none."""
        return dict((self.config.get("config") or {}).get("Labels") or {})


class ImageStore:
    """The images below one data directory."""

    def __init__(self, data: Path) -> None:
        self.root = data / "images"
        self.layers = LayerStore(data / "layers")
        self._blobs = self.root / "blobs" / "sha256"
        self._blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.root / "oci-layout").exists():
            self._write(self.root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    # Reading

    def get(self, name: str) -> Image:
        """An image by name (`hako/lab`, `hako/lab:latest`, `…@sha256:…`) or by id or its first four or more digits.

        Raises:
            BadInput: no name and no id, or an id that fits several images.
            NotFound: no image of that name.
        """
        ref, digest, _ = self._find(name)
        return self._load(ref, digest)

    def all(self) -> list[Image]:
        """Every named image, once per name, sorted by name."""
        return [self._load(ref, digest) for ref, digest in self._entries()]

    def manifest(self, digest: Digest) -> Json:
        """A manifest by its digest. NotFound as `blob`."""
        return self._json(digest)

    def blob(self, digest: Digest) -> bytes:
        """A small blob (manifest, config), its digest checked.

        Raises:
            NotFound: it is not here.
            Failed: it is damaged.
        """
        try:
            with self.blob_path(digest).open("rb") as file:
                data = file.read(JSON_BYTES + 1)
        except FileNotFoundError:
            raise NotFound(f"there is no blob {digest}", "Load or build the image again.") from None
        if digests.of_bytes(data) != digest:
            raise Failed(f"the blob {digest} is damaged on disk", "Remove the image and make it again.")
        return data

    def blob_path(self, digest: Digest) -> Path:
        """Where a blob lies or would lie."""
        return self._blobs / digest.removeprefix("sha256:")

    # Writing

    def add(self, config: Json, layers: Iterable[Layer], names: Iterable[Reference]) -> Image:
        """Make an image of layers that are in the layer store.

        Args:
            config: an OCI image config; its `rootfs` is written here from the layers.
            layers: the lowest first.
            names: at least one.
        """
        stack = list(layers)
        config = {**config, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]}}
        descriptors = [_descriptor(LAYER_TYPE, layer.diff_id, layer.size_bytes) for layer in stack]
        return self.add_manifest(_canonical(config), descriptors, names)

    def add_manifest(self, config: bytes, layers: list[Json], names: Iterable[Reference]) -> Image:
        """Make an image of a config's exact bytes and layer descriptors, and name it; the layers must be there."""
        config_digest = self.put(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config_digest, len(config)),
            "layers": layers,
        }
        data = _canonical(manifest)
        digest = self.put(data)
        refs = [name.tagged() for name in names]
        image = self._load(refs[0], digest)  # before it gets its name: a name never stands for half an image
        self._name(refs, digest, len(data))
        return image

    def put(self, data: bytes) -> Digest:
        """Keep a small blob."""
        digest = digests.of_bytes(data)
        self._write(self.blob_path(digest), data)
        return digest

    def put_stream(self, data: IO[bytes], expected: Digest) -> None:
        """Keep a large blob, read to its end.

        Raises:
            BadInput: it has another digest; nothing is kept.
        """
        with tempfile.NamedTemporaryFile(prefix=".new-", dir=self.root) as file:
            hashing = Hashing(cast("BinaryIO", file))
            while chunk := data.read(digests.CHUNK_BYTES):
                hashing.write(chunk)
            if hashing.digest != expected:
                raise BadInput(f"the blob is {hashing.digest}, not {expected} as promised", "Fetch the image again.")
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, self.blob_path(expected))

    def tag(self, name: str, new: Reference) -> Image:
        """Give an image one more name; a name that stood for another image moves. NotFound, BadInput as `get`.

        Raises:
            BadInput: a new name with a digest.
        """
        if new.digest:
            raise BadInput(f"{new} names a digest", "A digest cannot be given to an image, only a tag.")
        image = self.get(name)
        self._name([new.tagged()], image.digest, self.blob_path(image.digest).stat().st_size)
        return self._load(new.tagged(), image.digest)

    def remove(self, name: str) -> None:
        """Take a name away (all of them, when given an id). What nothing names any more goes with `prune`.

        Raises:
            NotFound, BadInput: as `get`.
        """
        ref, digest, by_id = self._find(name)
        with self._locked() as index:
            index["manifests"] = [
                entry
                for entry in index["manifests"]
                if not (entry["digest"] == digest if by_id else entry["annotations"][REF_NAME] == ref.canonical())
            ]

    def prune(self, keep_layers: Iterable[Digest] = ()) -> int:
        """Remove blobs and layers that no named image uses.

        Args:
            keep_layers: diff_ids that running containers and labs still use.

        Returns:
            How many blobs and layers went.
        """
        with self._locked():
            used: set[str] = set(keep_layers)
            for _, digest in self._entries():
                manifest = self._json(digest)
                config = Digest(manifest["config"]["digest"])
                used |= {digest, config, *(layer["digest"] for layer in manifest["layers"])}
                used |= set(self._json(config)["rootfs"]["diff_ids"])
            doomed = [path for path in self._blobs.iterdir() if f"sha256:{path.name}" not in used]
            for path in doomed:
                path.unlink()
            layers = [diff_id for diff_id in self.layers.all() if diff_id not in used]
            for diff_id in layers:
                self.layers.remove(diff_id)
        return len(doomed) + len(layers)

    # Inside

    def _find(self, text: str) -> tuple[Reference, Digest, bool]:
        """The entry a name or an id stands for, and whether it was an id."""
        entries = self._entries()
        with contextlib.suppress(BadInput):
            wanted = reference.parse(text).tagged()
            for ref, digest in entries:
                if _answers(ref, digest, wanted):
                    return ref, digest, False
        match = _ID.match(text)
        if match is None:
            reference.parse(text)  # says what is wrong with it, if anything
            raise _no_image(text, entries)
        ids = {digest: self._json(digest)["config"]["digest"] for _, digest in entries}
        found = [entry for entry in entries if ids[entry[1]].removeprefix("sha256:").startswith(match.group(1))]
        if not found:
            raise _no_image(text, entries)
        if len({ids[digest] for _, digest in found}) > 1:
            raise BadInput(f"{text!r} fits more than one image", "Give more digits of the id.")
        return *found[0], True

    def _load(self, ref: Reference, digest: Digest) -> Image:
        image_id = Digest(self._json(digest)["config"]["digest"])
        config = self._json(image_id)
        layers = [self.layers.get(digests.parse(diff_id)).path for diff_id in config["rootfs"]["diff_ids"]]
        return Image(ref, digest, image_id, config, layers)

    def _json(self, digest: Digest) -> Json:
        value = json.loads(self.blob(digest))
        if not isinstance(value, dict):
            raise Failed(f"the blob {digest} is no JSON object", "Remove the image and make it again.")
        return value

    def _index(self) -> Json:
        try:
            index: Json = json.loads((self.root / "index.json").read_text())
        except FileNotFoundError:
            return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}
        return index

    def _entries(self) -> list[tuple[Reference, Digest]]:
        manifests = self._index()["manifests"]
        pairs = [(reference.parse(entry["annotations"][REF_NAME]), Digest(entry["digest"])) for entry in manifests]
        return sorted(pairs, key=lambda pair: pair[0].canonical())

    def _name(self, refs: list[Reference], digest: Digest, size_bytes: int) -> None:
        names = [ref.canonical() for ref in refs]
        with self._locked() as index:
            others = [entry for entry in index["manifests"] if entry["annotations"][REF_NAME] not in names]
            descriptor = _descriptor(MANIFEST_TYPE, digest, size_bytes)
            index["manifests"] = others + [{**descriptor, "annotations": {REF_NAME: name}} for name in names]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Json]:
        """The index, to be changed in place; written when the block ends without an error."""
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            index = self._index()
            yield index
            self._write(self.root / "index.json", _canonical(index))

    def _write(self, path: Path, data: bytes) -> None:
        """Whole or not at all: a new file, synced, then renamed."""
        fd, temporary = tempfile.mkstemp(prefix=".new-", dir=self.root)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)


def _answers(ref: Reference, digest: Digest, wanted: Reference) -> bool:
    """Whether an image called `ref` is what somebody wants."""
    if ref.name != wanted.name or (wanted.digest and wanted.digest != digest):
        return False
    return wanted.tag is None or wanted.tag == ref.tag


def _no_image(text: str, entries: list[tuple[Reference, Digest]]) -> NotFound:
    there = ", ".join(str(ref) for ref, _ in entries) or "none"
    return NotFound(f"there is no image {text[:300]!r}", f"Images that are here: {there}.")


def _descriptor(media_type: str, digest: Digest, size_bytes: int) -> Json:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _canonical(value: Json) -> bytes:
    """JSON with sorted keys: the same value has the same digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
