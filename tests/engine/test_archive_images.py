"""Image archives: written, read, and refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, EngineError, NotFound
from engine.images import archive
from engine.images.reference import parse
from engine.images.store import ImageStore

pytestmark = pytest.mark.root

Files = dict[str, bytes]


def _tar(files: Files, **extra: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in extra.items():
            info = tarfile.TarInfo(name.replace("_", "/"))
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _docker(layer: bytes, *, diff_id: str | None = None, tags: list[str] | None = None) -> Files:
    """What `docker save` wrote for years: a layer as a file of its own, found through manifest.json."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id or _digest(layer)]},
    }
    table = [{"Config": "c.json", "RepoTags": tags, "Layers": ["l/layer.tar"]}]
    return {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(table).encode(), "l/layer.tar": layer}


def _oci(layer: bytes, packed: bytes, name: str) -> Files:
    """An OCI layout with a compressed layer, found through an index in an index."""
    config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}).encode()
    manifest = json.dumps(
        {"schemaVersion": 2, "config": {"digest": _digest(config)}, "layers": [{"digest": _digest(packed)}]}
    ).encode()
    platform = {"os": "windows", "architecture": "amd64"}
    inner = json.dumps(
        {"manifests": [{"digest": _digest(b"other"), "platform": platform}, {"digest": _digest(manifest)}]}
    ).encode()
    entry = {"digest": _digest(inner), "annotations": {"org.opencontainers.image.ref.name": name}}
    files = {"oci-layout": b"{}", "index.json": json.dumps({"manifests": [entry]}).encode()}
    for blob in (config, manifest, inner, packed):
        files[f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"] = blob
    return files


def _load(store: ImageStore, files: Files) -> Any:
    return archive.load(store, io.BytesIO(_tar(files)))


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """An empty store."""
    return ImageStore(tmp_path / "data")


LAYER = _tar({"hello": b"world"})  # made by another tar than ours: kept as a blob, or its digest would be lost


def test_loads_what_docker_saved(store: ImageStore) -> None:
    """A docker archive becomes an image under its names, with its own id."""
    files = _docker(LAYER, tags=["team/app:1", "team/app:2"])
    (image,) = _load(store, files)
    assert image.id == _digest(files["c.json"])
    assert (image.layers[0] / "hello").read_bytes() == b"world"
    assert store.get("team/app:2").id == image.id


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: data])
def test_loads_an_oci_layout(store: ImageStore, pack: Any) -> None:
    """An OCI layout with an index of several machines gives the image for this one."""
    (image,) = _load(store, _oci(LAYER, pack(LAYER), "team/app:1"))
    assert str(image.ref) == "team/app:1"
    assert (image.layers[0] / "hello").read_bytes() == b"world"


def test_a_compressed_archive_and_links_between_layers(store: ImageStore) -> None:
    """`docker save | gzip`, and the symbolic links by which old versions shared a layer."""
    files = _docker(LAYER)
    files["real/layer.tar"] = files.pop("l/layer.tar")
    data = gzip.compress(_tar(files, **{"l_layer.tar": "../real/layer.tar"}))
    (image,) = archive.load(store, io.BytesIO(data))
    assert str(image.ref) == f"hako/loaded:{image.id[7:19]}"


def test_saved_and_loaded_it_is_the_same_image(store: ImageStore, tmp_path: Path) -> None:
    """Foreign layer and own layer together: the other store gets the same id and the same layers."""
    (foreign,) = _load(store, _docker(LAYER, tags=["foreign"]))
    with store.layers.staging() as top:
        (top / "own").write_text("x")
        own = store.layers.adopt(top)
    first = store.layers.get(foreign.config["rootfs"]["diff_ids"][0])
    mixed = store.add({"os": "linux"}, [first, own], [parse("mixed")])
    out = io.BytesIO()
    archive.save(store, ["foreign", "mixed"], out)
    out.seek(0)
    other = ImageStore(tmp_path / "other")
    assert [image.id for image in archive.load(other, out)] == [foreign.id, mixed.id]
    assert other.get("mixed").config == mixed.config
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        for name in names:
            if name.startswith("blobs/"):
                assert hashlib.sha256(tar.extractfile(name).read()).hexdigest() == name[13:]  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        archive.save(store, ["nobody"], io.BytesIO())


_BAD: dict[str, Files] = {
    "no image": {"a": b"x"},
    "no JSON": {"manifest.json": b"{"},
    "no list": {"manifest.json": b"{}"},
    "no table": {"manifest.json": b"[1]"},
    "no entries": {"manifest.json": b"[{}]"},
    "no config": {"manifest.json": json.dumps([{"Config": "../../etc/passwd", "Layers": []}]).encode()},
    "wrong digest": _docker(LAYER, diff_id="sha256:" + "0" * 64),
    "no digest": _docker(LAYER, diff_id="../../x"),
    "hostile layer": _docker(_tar({"../x": b"x"})),
    "no tar": _docker(b"x" * 1000),
    "hostile name": _docker(LAYER, tags=["a/../b"]),
    "index": {"index.json": b"[]"},
    "no blob": {"index.json": json.dumps({"manifests": [{"digest": "sha256:" + "0" * 64}]}).encode()},
}


@pytest.mark.parametrize("what", sorted(_BAD))
def test_bad_archives_are_refused(store: ImageStore, what: str) -> None:
    """Whatever is wrong with it: BadInput with a hint, no image, no half-made layer."""
    with pytest.raises(BadInput) as caught:
        _load(store, _BAD[what])
    assert caught.value.hint
    assert store.all() == []
    assert not [path for path in store.layers.root.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("data", [b"", b"x", gzip.compress(b"x" * 2000)[:30], b"\x28\xb5\x2f\xfdxx", bytes(10_000)])
def test_bytes_that_are_no_archive(store: ImageStore, data: bytes) -> None:
    """An empty, short, cut or zstd-compressed file ends in words."""
    with pytest.raises(EngineError, match=r"archive|zstd|compressed"):
        archive.load(store, io.BytesIO(data))
    assert store.all() == []
