"""The image store: names, ids, damage, and what is removed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from engine.errors import BadInput, Failed, NotFound
from engine.images.reference import parse
from engine.images.store import Image, ImageStore
from engine.storage.layers import Layer

pytestmark = pytest.mark.root


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """An empty store."""
    return ImageStore(tmp_path)


def layer_of(store: ImageStore, text: str) -> Layer:
    """A layer with one file."""
    with store.layers.staging() as top:
        (top / "file").write_text(text)
        for path in (top / "file", top):
            os.utime(path, (0, 0))  # times are part of the layer's digest: the same text is the same layer
        return store.layers.adopt(top)


def image_of(store: ImageStore, name: str, *texts: str) -> Image:
    """An image of such layers."""
    return store.add({"os": "linux"}, [layer_of(store, text) for text in texts], [parse(name)])


def test_found_by_name_digest_and_id(store: ImageStore) -> None:
    """Every way people write an image leads to the same one, its layers the lowest first."""
    made = image_of(store, "hako/a", "low", "high")
    digits = made.id.removeprefix("sha256:")
    for name in ("hako/a", "hako/a:latest", "docker.io/hako/a", f"hako/a@{made.digest}", made.id, digits, digits[:12]):
        found = store.get(name)
        assert (found.id, found.digest) == (made.id, made.digest), name
    assert [(layer / "file").read_text() for layer in made.layers] == ["low", "high"]
    assert str(made.ref) == "hako/a:latest"


@pytest.mark.parametrize("name", ["hako/b", "hako/a:other", "hako/a@sha256:" + "0" * 64, "abcdef123456", "a" * 64])
def test_not_found_says_what_there_is(store: ImageStore, name: str) -> None:
    """An unknown image is NotFound, and the hint lists the known ones."""
    image_of(store, "hako/a", "x")
    with pytest.raises(NotFound) as caught:
        store.get(name)
    assert "hako/a:latest" in caught.value.hint


@pytest.mark.parametrize("name", ["", "..", "a/../b", "A", "a b"])
def test_bad_names_are_bad_input(store: ImageStore, name: str) -> None:
    """What is no name is told from what is not there."""
    with pytest.raises(BadInput):
        store.get(name)


def test_tag_moves_a_name_and_remove_takes_it(store: ImageStore) -> None:
    """Two names of one image are listed twice; a moved name stands for the new image; the last name takes the image."""
    first, second = image_of(store, "a", "1"), image_of(store, "b", "2")
    store.tag("a", parse("c"))
    assert [str(image.ref) for image in store.all()] == ["a:latest", "b:latest", "c:latest"]
    store.tag("b", parse("c:latest"))
    assert store.get("c").id == second.id
    store.remove("b")
    with pytest.raises(NotFound):
        store.get("b")
    assert store.get("c").id == second.id
    store.tag("a", parse("d"))
    store.remove(first.id)
    assert [str(image.ref) for image in store.all()] == ["c:latest"]
    with pytest.raises(BadInput):
        store.tag("c", parse(f"c@{second.digest}"))


def test_short_id_of_two_images_is_refused(store: ImageStore) -> None:
    """Digits that fit more than one image choose none."""
    seen: dict[str, str] = {}
    for number in range(600):  # 16 bits of 600 ids: four digits that meet are all but certain
        image = store.add({"os": "linux", "author": str(number)}, [], [parse(f"n{number}")])
        digits = image.id.removeprefix("sha256:")[:4]
        if digits in seen:
            with pytest.raises(BadInput, match="more than one"):
                store.get(digits)
            return
        seen[digits] = image.id
    pytest.fail("no two of 600 ids met")


def test_prune_keeps_what_is_named_and_what_runs(store: ImageStore) -> None:
    """Shared layers stay while one image has them; layers of running labs stay without any image."""
    image_of(store, "a", "shared", "only a")
    image_of(store, "b", "shared", "only b")
    running = layer_of(store, "running")
    store.remove("a")
    assert store.prune(keep_layers=[running.diff_id]) == 3  # a's manifest, config and own layer
    assert len(store.layers.all()) == 3
    assert store.get("b").layers[0].joinpath("file").read_text() == "shared"
    assert store.prune() == 1


def test_same_content_is_one_layer(store: ImageStore) -> None:
    """Content is its own name: made twice, kept once."""
    assert layer_of(store, "x") == layer_of(store, "x")
    assert len(store.layers.all()) == 1
    assert sorted(path.name[:6] for path in store.layers.root.iterdir()) == ["sha256"]


def test_damage_is_noticed(store: ImageStore) -> None:
    """A blob whose bytes changed is refused, never used."""
    image = image_of(store, "a", "x")
    store.blob_path(image.id).write_bytes(b"{}")
    with pytest.raises(Failed, match="damaged"):
        store.get("a")


def test_layout_is_what_the_specification_says(store: ImageStore) -> None:
    """oci-layout, index.json and manifests as other tools expect them."""
    image = image_of(store, "a", "x")
    assert json.loads((store.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((store.root / "index.json").read_text())["manifests"]
    assert entry["digest"] == image.digest
    assert entry["size"] == store.blob_path(image.digest).stat().st_size
    manifest = store.manifest(image.digest)
    assert manifest["config"]["digest"] == image.id
    assert image.config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_names_given_at_the_same_time_are_all_kept(store: ImageStore) -> None:
    """Two writers of index.json do not lose each other's names."""
    image_of(store, "a", "x")
    threads = [threading.Thread(target=store.tag, args=("a", parse(f"n{number}"))) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.all()) == 17
    assert not [path for path in store.root.iterdir() if path.name.startswith(".new-")]


def test_half_made_layers_are_swept(store: ImageStore) -> None:
    """What a builder that died left behind goes at the next start; whole layers stay."""
    kept = layer_of(store, "x")
    with store.layers.staging() as top:
        (top / "half").touch()
        assert store.layers.sweep() == 1
    assert store.layers.all() == [kept.diff_id]


def test_a_damaged_layer_is_made_anew(store: ImageStore) -> None:
    """A layer whose files a power cut emptied is replaced when the same content is made again."""
    damaged = layer_of(store, "x")
    (damaged.path / "file").write_text("")
    assert not store.layers.verify(damaged.diff_id)
    assert layer_of(store, "x") == damaged
    assert store.layers.verify(damaged.diff_id)
