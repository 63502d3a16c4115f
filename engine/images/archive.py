"""Images as one file: what `docker save` writes and `docker load` reads, and the OCI layout in a tar.

    manifest.json               Docker's: [{"Config": path, "RepoTags": [...], "Layers": [path, ...]}]
    oci-layout, index.json      OCI's (image-spec, image-layout.md)
    blobs/sha256/<hex>          configs, manifests, layers

`save` writes both tables over the same blobs, so every engine reads it. `load` takes Docker's table where there is one,
else OCI's. The archive is hostile: members are read in place (members.py), each layer's digest is checked against the
config's, layers go through storage/unpack.py. Attestations and images of other machines are passed over.
"""

from __future__ import annotations

import json
import platform
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import BadInput, Failed
from engine.images import reference
from engine.images.members import DAMAGED, Members, blob_name, opened, parse
from engine.images.reference import Reference
from engine.images.store import CONFIG_TYPE, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE, REF_NAME, Image, ImageStore, Json
from engine.storage import digests
from engine.storage.digests import CHUNK_BYTES, Digest
from engine.storage.stream import decompress

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def load(store: ImageStore, archive: BinaryIO) -> list[Image]:
    """Read every image of an archive for this machine into the store.

    Args:
        archive: seekable; a tar, as it is or compressed with gzip or xz.

    Returns:
        The images, each under its first name; an image without a name is called `hako/loaded:<id>`.

    Raises:
        BadInput: not an image archive, a digest that does not fit, a hostile layer. Images read before it stay.
    """
    try:
        with opened(archive, store.root) as members:
            if members.has("manifest.json"):
                return [_load_docker(store, members, entry) for entry in _list(members.json("manifest.json"))]
            if members.has("index.json"):
                return list(_load_index(store, members, members.json("index.json"), None))
    except (KeyError, TypeError, AttributeError) as error:  # JSON of another shape than the specification says
        raise BadInput(f"the archive's tables are not what they should be: {error!r}", DAMAGED) from error
    raise BadInput("the file is no image archive: it has neither manifest.json nor index.json", DAMAGED)


def save(store: ImageStore, names: Iterable[str], out: BinaryIO) -> None:
    """Write images as one archive, as `docker save` does.

    Raises:
        NotFound, BadInput: as ImageStore.get.
    """
    images = [store.get(name) for name in names]
    table, index, written = [], [], set[str]()
    for image in images:
        blobs = {image.id: store.blob(image.id)}
        layers = [Digest(diff_id) for diff_id in image.config["rootfs"]["diff_ids"]]
        descriptors = [_descriptor(LAYER_TYPE, layer, _layer_size(store, layer)) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, image.id, len(blobs[image.id])),
            "layers": descriptors,
        }
        data = json.dumps(manifest, sort_keys=True).encode()
        blobs[digests.of_bytes(data)] = data
        for digest, content in blobs.items():
            if digest not in written:
                _write_member(out, blob_name(digest), content)
        for layer in layers:
            if layer not in written:
                _write_layer(store, layer, out)
        written.update(blobs, layers)
        entry = _descriptor(MANIFEST_TYPE, digests.of_bytes(data), len(data))
        index.append({**entry, "annotations": {REF_NAME: image.ref.canonical()}})
        tags = [str(image.ref)] if image.ref.tag else []
        table.append({"Config": blob_name(image.id), "RepoTags": tags, "Layers": [blob_name(x) for x in layers]})
    _write_member(out, "manifest.json", json.dumps(table).encode())
    _write_member(out, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    listing = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": index}
    _write_member(out, "index.json", json.dumps(listing).encode())
    out.write(bytes(2 * tarfile.BLOCKSIZE))


def _load_docker(store: ImageStore, members: Members, entry: Json) -> Image:
    config = members.read(str(entry["Config"]))
    names = [reference.parse(str(tag)) for tag in entry.get("RepoTags") or []]
    return _add(store, members, config, [str(path) for path in _list(entry["Layers"])], names)


def _load_index(store: ImageStore, members: Members, index: Json, name: Reference | None) -> Iterator[Image]:
    """The images an index leads to; an index in an index (one image for several machines) is followed once."""
    for entry in _list(index["manifests"]):
        annotations = entry.get("annotations") or {}
        ref = name or _reference(annotations.get("io.containerd.image.name") or annotations.get(REF_NAME))
        target = entry.get("platform") or {}
        architecture = target.get("architecture")
        if architecture and (target.get("os"), architecture) != ("linux", _ARCHITECTURES.get(platform.machine())):
            continue
        document = parse(members.blob(digests.parse(str(entry["digest"]))), "a manifest")
        if "manifests" in document:
            if name is None:
                yield from _load_index(store, members, document, ref)
            continue
        config = members.blob(digests.parse(str(document["config"]["digest"])))
        layers = [blob_name(digests.parse(str(layer["digest"]))) for layer in _list(document["layers"])]
        yield _add(store, members, config, layers, [ref] if ref else [])


def _add(store: ImageStore, members: Members, config: bytes, layers: list[str], names: list[Reference]) -> Image:
    document = parse(config, "an image's config")
    diff_ids = [digests.parse(str(text)) for text in _list((document.get("rootfs") or {}).get("diff_ids"))]
    if len(diff_ids) != len(layers):
        raise BadInput(f"the config names {len(diff_ids)} layers, the archive has {len(layers)}", DAMAGED)
    for diff_id, path in zip(diff_ids, layers, strict=True):
        if not store.layers.has(diff_id):
            _add_layer(store, members, diff_id, path)
    descriptors = [_descriptor(LAYER_TYPE, diff_id, _layer_size(store, diff_id)) for diff_id in diff_ids]
    unnamed = reference.parse(f"hako/loaded:{digests.of_bytes(config).removeprefix('sha256:')[:12]}")
    return store.add_manifest(config, descriptors, names or [unnamed])


def _add_layer(store: ImageStore, members: Members, diff_id: Digest, path: str) -> None:
    """Unpack a layer; keep its tar as well unless ours would come out the same (its digest must stay reproducible)."""
    with members.open(path) as file:
        store.layers.add_tar(file, diff_id)
        if not store.layers.verify(diff_id):
            file.seek(0)
            store.put_stream(decompress(file), diff_id)


def _layer_size(store: ImageStore, diff_id: Digest) -> int:
    blob = store.blob_path(diff_id)
    return blob.stat().st_size if blob.exists() else store.layers.get(diff_id).size_bytes


def _write_layer(store: ImageStore, diff_id: Digest, out: BinaryIO) -> None:
    size = _layer_size(store, diff_id)
    out.write(_header(blob_name(diff_id), size))
    blob = store.blob_path(diff_id)
    if blob.exists():
        _copy(blob, out)
    elif store.layers.write_tar(diff_id, out) != diff_id:
        raise Failed(f"the layer {diff_id} is damaged on disk; the archive is not usable", "Make the image again.")
    out.write(bytes(-size % tarfile.BLOCKSIZE))


def _copy(blob: Path, out: BinaryIO) -> None:
    with blob.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            out.write(data)


def _write_member(out: BinaryIO, name: str, content: bytes) -> None:
    out.write(_header(name, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _descriptor(media_type: str, digest: Digest, size_bytes: int) -> Json:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _reference(text: Any) -> Reference | None:
    """The name an index gives; some tools write only a tag there, which names nothing."""
    try:
        ref = reference.parse(str(text)) if text else None
    except BadInput:
        return None
    return ref if ref and (ref.tag or "/" in str(text)) else None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadInput("the archive's table is not what it should be (a list was expected)", DAMAGED)
    return value
