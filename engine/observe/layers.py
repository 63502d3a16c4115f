"""The union file systems of a lab as data: which directories each lays over one another, and what lies in them.

    upper     written to: what was added, changed (copied up), deleted (a whiteout) or made anew (an opaque directory)
    lower …   only read

A directory may be a layer of several mounts (ten containers of one image): what it holds is listed once, as a Tree, and
the mounts name it. AUFS calls layers branches and may write to several of them. Pure: layer_reader.py reads. See
overlayfs.rst and aufs(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

#: type of a mount -> what serves it.
DRIVERS = {"overlay": "overlay", "aufs": "aufs", "fuse.aufs": "aufs_fuse"}
#: What became of a file of the layers below.
KINDS = ("added", "changed", "whiteout", "opaque")


@dataclass(frozen=True, slots=True)
class Layer:
    """One directory of a union.

    Attributes:
        path: as the one who mounted it named it.
        mode: AUFS's word for what is done with it: "rw", "ro", "rr" (a disc) or "ro+wh".
        tree: what it holds, a key of Layers.trees; None where it cannot be read from here.
    """

    path: str
    mode: str
    tree: str | None = None

    @property
    def writable(self) -> bool:
        return self.mode == "rw"

    def to_dict(self) -> Json:
        return {"path": self.path, "role": "upper" if self.writable else "lower", "mode": self.mode, "tree": self.tree}


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One name in a layer.

    Attributes:
        path: from the layer's top: "/etc/motd".
        type: "file", "directory", "link" or "other".
        mark: "whiteout" or "opaque" where that is what it is there for; the mark's own name (`.wh.x`) is not told.
        size: bytes of a file.
    """

    path: str
    type: str
    mark: str | None = None
    size: int = field(default=0, compare=False)

    def to_dict(self) -> Json:
        return {"path": self.path, "type": self.type, "mark": self.mark, "size": self.size}


@dataclass(frozen=True, slots=True)
class Tree:
    """What a directory holds, sorted by path; `truncated` where that was more than is told."""

    files: tuple[LayerFile, ...]
    truncated: bool = False

    def to_dict(self) -> Json:
        return {"files": [one.to_dict() for one in self.files], "truncated": self.truncated}


@dataclass(frozen=True, slots=True)
class Change:
    """What a writable layer does to the union.

    Attributes:
        kind: one of KINDS.
        layer: number of the layer it lies in; the topmost is 0.
        below: number of the layer that has the file which was changed or hidden; None for an added one.
    """

    path: str
    kind: str
    type: str
    layer: int
    below: int | None
    size: int = field(default=0, compare=False)

    def to_dict(self) -> Json:
        return {
            "path": self.path,
            "kind": self.kind,
            "type": self.type,
            "layer": self.layer,
            "below": self.below,
            "size": self.size,
        }


@dataclass(frozen=True, slots=True)
class Union:
    """One mounted union.

    Attributes:
        driver: "overlay", "aufs" (the kernel's) or "aufs_fuse" (ours).
        device: "major:minor"; all mounts of this union have it.
        target: where it is mounted, as seen in the mount namespace `mnt`.
        of_lab: it is the lab's own root, not made by the learner.
        layers: the topmost first.
        create: AUFS's policy for new files, where it is known.
    """

    driver: str
    device: str
    target: str
    mnt: int
    of_lab: bool
    readonly: bool
    layers: tuple[Layer, ...]
    changes: tuple[Change, ...] = ()
    create: str | None = None

    @property
    def lower(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if not layer.writable)

    def to_dict(self) -> Json:
        return {
            "driver": self.driver,
            "device": self.device,
            "target": self.target,
            "mnt": self.mnt,
            "of_lab": self.of_lab,
            "readonly": self.readonly,
            "layers": [layer.to_dict() for layer in self.layers],
            "changes": [change.to_dict() for change in self.changes],
            "create": self.create,
        }


@dataclass(frozen=True, slots=True)
class Layers:
    """All unions of a lab, and what lies in their layers, each directory once."""

    unions: tuple[Union, ...] = ()
    trees: Mapping[str, Tree] = field(default_factory=dict)

    def to_dict(self) -> Json:
        return {
            "unions": [union.to_dict() for union in self.unions],
            "trees": {key: tree.to_dict() for key, tree in self.trees.items()},
        }


def overlay_layers(options: Iterable[str]) -> tuple[Layer, ...]:
    """The layers of an overlay mount from its options in the mount table, the topmost first.

    The layers stand in one option (`lowerdir=a:b`) or in one each (`lowerdir+=a`); data-only ones (`::c`, `datadir+=c`)
    hold no names, so they are left out.
    """
    upper: list[Layer] = []
    lower: list[Layer] = []
    for option in options:
        key, _, value = option.partition("=")
        if key == "upperdir":
            upper.append(Layer(_plain(value), "rw"))
        elif key == "lowerdir":
            lower += [Layer(path, "ro") for path in _parts(value.partition("::")[0])]
        elif key == "lowerdir+":
            lower.append(Layer(value, "ro"))
    return (*upper, *lower)


def _parts(value: str) -> Iterator[str]:
    """`a:b` as its parts; `\\:` is a colon in a path."""
    part = ""
    rest = iter(value)
    for character in rest:
        if character == "\\":
            part += next(rest, "")
        elif character == ":":
            yield part
            part = ""
        else:
            part += character
    if part:
        yield part


def _plain(value: str) -> str:
    return "".join(_parts(value.replace(":", "\\:")))


def branch_layers(lines: Iterable[str]) -> tuple[Layer, ...]:
    """AUFS's branches from lines such as `/rw=rw` and `/ro=ro+wh` (sysfs shows them so), the topmost first.

    Of a branch's attributes only `wh` is kept: it says whether marks in a branch that is not written count.
    """
    layers = []
    for line in lines:
        path, equals, mode = line.rpartition("=")
        if equals:
            base, *attributes = mode.split("+")
            layers.append(Layer(path, f"{base}+wh" if "wh" in attributes and base != "rw" else base))
    return tuple(layers)
