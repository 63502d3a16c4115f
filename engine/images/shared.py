"""Images that a lab's own engine has from the machine's: the layers are shared read-only, the rest fits in a variable.

`layers` says which layers a lab is shown; `export` writes down, on the machine, the images that stand on them: name,
config and what is known of each layer. `adopt`, in the lab, makes them images of its own store, with a link to each
layer where its files would be: nothing is copied, and neither store can change the other.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import NotFound
from engine.images import reference
from engine.images.store import LAYER_TYPE, Image, ImageStore
from engine.storage import digests
from engine.storage.layers import Layer

#: What a lab's engine can run without asking anybody.
NAMES = ("hako/mini", "hako/lab")


def layers(store: ImageStore) -> list[tuple[str, str]]:
    """The layers of NAMES, as far as they are here: (name of the layer's folder, directory with its files)."""
    paths = {path.parent.name: str(path) for image in _images(store) for path in image.layers}
    return sorted(paths.items())


def export(store: ImageStore) -> str:
    """NAMES as text for `adopt`: some kilobytes."""
    return json.dumps([_written(store, image) for image in _images(store)], separators=(",", ":"))


def adopt(store: ImageStore, text: str, shown: Path) -> None:
    """Make the images of `export` images of this store; those whose layers are not shown, or are here, are passed over.

    Args:
        shown: where this machine sees the shared layers: <shown>/<folder>/fs.
    """
    for entry in json.loads(text):
        stack = [Layer(digests.parse(one["diff_id"]), Path(), one["size"], one["entries"]) for one in entry["layers"]]
        folders = [digests.folder_name(layer.diff_id) for layer in stack]
        if not all((shown / folder / "fs").is_dir() for folder in folders):
            continue
        with contextlib.suppress(NotFound):
            if store.get(entry["ref"]).id == digests.of_bytes(entry["config"].encode()):
                continue
        for folder, layer in zip(folders, stack, strict=True):
            _link(store.layers.root / folder, shown / folder / "fs", layer)
        descriptors = [{"mediaType": LAYER_TYPE, "digest": each.diff_id, "size": each.size_bytes} for each in stack]
        store.add_manifest(entry["config"].encode(), descriptors, [reference.parse(entry["ref"])])


def _images(store: ImageStore) -> Iterable[Image]:
    for name in NAMES:
        with contextlib.suppress(NotFound):
            yield store.get(name)


def _written(store: ImageStore, image: Image) -> dict[str, Any]:
    found = [store.layers.get(digests.parse(diff_id)) for diff_id in image.config["rootfs"]["diff_ids"]]
    return {
        "ref": str(image.ref),
        "config": store.blob(image.id).decode(),
        "layers": [{"diff_id": each.diff_id, "size": each.size_bytes, "entries": each.entries} for each in found],
    }


def _link(folder: Path, files: Path, layer: Layer) -> None:
    """A layer in the store whose files lie elsewhere; one that is here is left as it is."""
    folder.mkdir(mode=0o755, exist_ok=True)
    if not os.path.lexists(folder / "fs"):
        (folder / "fs").symlink_to(files)
    facts = {"size_bytes": layer.size_bytes, "entries": layer.entries}
    (folder / "layer.json").write_text(json.dumps(facts))
