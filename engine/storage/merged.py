"""What a stack of layers shows, as one tree in memory: for a driver that has no union mount to ask.

The layers are directories in overlay's form. Each is walked once, the lowest first, and lays its files over what is
there: a whiteout takes a name away, an opaque directory what was below it. See whiteouts.py for the marks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.linux import syscalls
from engine.storage import whiteouts
from engine.storage.tree import walk


@dataclass
class Node:
    """One file of the merged tree: the number of the layer that shows it, its lstat(2), and what a directory holds."""

    layer: int
    status: os.stat_result
    names: dict[str, Node] = field(default_factory=dict)

    def find(self, path: str) -> Node | None:
        """What lies at a path below it, `/` between the parts."""
        node: Node | None = self
        for part in path.split("/"):
            node = node.names.get(part) if node is not None and part else node
        return node

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Node]]:
        """Everything below it, a directory before what it holds, names in byte order."""
        for name in sorted(self.names, key=os.fsencode):
            path = f"{prefix}/{name}" if prefix else name
            yield path, self.names[name]
            yield from self.names[name].walk(path)


def merge(layers: Sequence[int]) -> Node:
    """The tree that these layers (fds, the lowest first, at least one) show.

    Raises:
        Exhausted: a layer passes the bounds of tree.py. OSError: one cannot be read.
    """
    top = Node(0, os.fstat(layers[0]))
    for number, layer in enumerate(layers):
        for entry in walk(layer):
            if not entry.path:
                top.layer, top.status = number, entry.status
                continue
            parent = top.find(entry.path.rpartition("/")[0])
            if parent is None:
                continue  # cannot be: a directory comes before what it holds
            below = parent.names.pop(entry.name, None)
            if whiteouts.is_whiteout(entry.status):
                continue
            node = Node(number, entry.status)
            if entry.is_dir and below is not None and not whiteouts.is_opaque(entry.fd):
                node.names = below.names
            parent.names[entry.name] = node
    return top


def opened(layer: int, path: str, flags: int) -> int:
    """An fd of a file in a layer, never through a link. OSError as of openat2(2)."""
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
    return syscalls.openat2(layer, path or ".", flags | os.O_NOFOLLOW, resolve=resolve)
