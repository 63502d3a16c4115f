"""The two images a machine without internet can make by itself: `hako/mini` and `hako/lab`.

    hako/mini   busybox: a shell and the usual commands in one static file (one layer)
    hako/lab    a lab host: bash, coreutils, util-linux, iproute2, … and Python with this engine (two layers)

They are made once from the programs of this machine (recipes.py) and found again at every later start: what was read
then is compared by size and time with what is there now (some milliseconds), and only a difference makes them anew.
The layers are content-addressed, so the same machine makes the same image.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import NotFound
from engine.images import labfiles, pythonlib, recipes, reference
from engine.images.recipes import Built, Progress
from engine.images.rootfs import Fact, RootFs, fact
from engine.images.store import Image, ImageStore
from engine.storage import digests
from engine.storage.layers import Layer

MINI, LAB = "hako/mini", "hako/lab"
NAMES = (MINI, LAB)
LABEL = "org.hako."
_RECORD = "base.json"  # in the image store's folder: {name: {"image": digest, "sources": {path: [size, mtime_ns]}}}
_SYNC_TIMEOUT_S = 300.0  # a slow card with much else to write; in tests and on servers it takes under a second
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # image-spec speaks GOARCH


def ensure(store: ImageStore, *, names: tuple[str, ...] = NAMES, progress: Progress | None = None) -> dict[str, Image]:
    """The base images, made or found.

    Args:
        names: which of NAMES.
        progress: called with (what is being done, how many are done, of how many); from this thread.

    Returns:
        {name: image}.

    Raises:
        Failed: the machine lacks a program that `hako/lab` cannot be without.
        OSError: the disk is full, or a file cannot be read.
    """
    report = progress or (lambda what, done, total: None)
    record = _read_record(store)
    return {name: _found(store, name, record) or _make(store, name, report) for name in names}


def missing(image: Image) -> list[str]:
    """What the machine lacked when a base image was made: programs by name, `locale:…`, `terminfo:…`, libraries."""
    return image.labels.get(f"{LABEL}missing", "").split()


def _found(store: ImageStore, name: str, record: dict[str, Any]) -> Image | None:
    """The image of an earlier start, if nothing it was made of has changed since."""
    entry = record.get(name)
    if entry is None or entry["recipe"] != _recipe_digest():
        return None
    if any(fact(path) != tuple(was) for path, was in entry["sources"].items()):
        return None
    try:
        image = store.get(name)
    except NotFound:
        return None
    return image if image.digest == entry["image"] else None


def _make(store: ImageStore, name: str, progress: Progress) -> Image:
    built, layers, config = _make_mini(store) if name == MINI else _make_lab(store, progress)
    labels = {f"{LABEL}missing": " ".join(built.missing), f"{LABEL}version": labfiles.VERSION}
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    image = store.add(
        {"architecture": machine, "os": "linux", "config": {**config, "Labels": labels}},
        layers,
        [reference.parse(name)],
    )
    _settle_on_disk(store.root)
    _write_record(store, name, image, built.sources)
    return image


def _settle_on_disk(folder: Path) -> None:
    """syncfs(2), by sync(1): a record must not outlive in a power cut the layers it speaks of."""
    subprocess.run(["sync", "-f", str(folder)], env={"PATH": "/usr/bin:/bin"}, timeout=_SYNC_TIMEOUT_S, check=True)


def _make_mini(store: ImageStore) -> tuple[Built, list[Layer], dict[str, Any]]:
    layer, built = _layer(store, recipes.mini)
    return built, [layer], {"Env": labfiles.ENVIRONMENT, "Cmd": ["sh"]}


def _make_lab(store: ImageStore, progress: Progress) -> tuple[Built, list[Layer], dict[str, Any]]:
    python = pythonlib.find()
    relocate = python.relocate if python else {}
    lower, programs = _layer(store, lambda root: recipes.lab_programs(root, python, progress), relocate)
    upper, files = _layer(store, lambda root: recipes.lab_files(root, python))
    built = Built(programs.missing, {**programs.sources, **files.sources})
    return built, [lower, upper], {"Env": labfiles.LAB_ENVIRONMENT, "Cmd": ["bash"], "WorkingDir": "/root"}


def _layer(
    store: ImageStore, recipe: Callable[[RootFs], Built], relocate: dict[str, str] | None = None
) -> tuple[Layer, Built]:
    with store.layers.staging() as top:
        built = recipe(RootFs(top, relocate))
        return store.layers.adopt(top), built


def _recipe_digest() -> str:
    """Changes with this package's source: another recipe makes another image of the same machine."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return digests.of_bytes(b"".join(path.read_bytes() for path in sources))


def _read_record(store: ImageStore) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((store.root / _RECORD).read_text())
    except (FileNotFoundError, ValueError):
        return {}  # lost or cut short: the images are made again and come out the same
    return record


def _write_record(store: ImageStore, name: str, image: Image, sources: dict[str, Fact]) -> None:
    record = _read_record(store)
    record[name] = {"recipe": _recipe_digest(), "image": image.digest, "sources": sources}
    temporary = store.root / f".{_RECORD}.{os.getpid()}"
    temporary.write_text(json.dumps(record))
    temporary.rename(store.root / _RECORD)
