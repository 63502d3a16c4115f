"""The overlay driver of the union contract (Documentation/filesystems/overlayfs.rst): in every kernel since 3.18.

The mount itself is made by overlay_mount.py, the marks are whiteouts.py's. Here is what overlay means for an engine: on
what it can lie, and how to read its upper directory.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar

from engine.linux import mounts, syscalls
from engine.storage import overlay_mount, pack, whiteouts
from engine.storage.tree import walk
from engine.storage.union import Change, Kind, Place, UnionDriver, Verdict, trial


class OverlayDriver(UnionDriver):
    """Overlay.

    Args:
        form: one of overlay_mount.FORMS instead of the kernel's best, for tests.
        inside: every mount is made in a user namespace, with marks in `user.*`.
    """

    name: ClassVar[str] = "overlay"

    def __init__(self, form: str | None = None, *, inside: bool = False) -> None:
        self._form, self._inside = form, inside

    def supported(self, backing: Path) -> Verdict:
        """Mount one on `backing`, delete a file in it, and look at what that left there."""
        wrong = trial(
            self,
            backing,
            lambda upper: whiteouts.is_whiteout(os.lstat(upper / "file")),
            lambda error: f"{error.strerror} (is {backing} itself on overlay?)",
        )
        if wrong:
            return Verdict(False, wrong)
        return Verdict(True, f"layers named by {self._form or overlay_mount.form()}")

    def mount(
        self,
        lower: Sequence[Place],
        upper: Place | None = None,
        work: Place | None = None,
        *,
        readonly: bool = False,
        userxattr: bool = False,
    ) -> int:
        """See UnionDriver.mount."""
        if not lower or (upper is None) != (work is None):
            raise ValueError("an overlay needs a layer, and an upper directory needs a work directory")
        attributes = syscalls.MOUNT_ATTR_RDONLY if readonly or upper is None else 0
        with contextlib.ExitStack() as stack:
            layers = [stack.enter_context(directory(place)) for place in lower]
            if upper is None or work is None:
                if len(layers) == 1:  # overlay wants two layers or an upper; of one layer a copy of its mount will do
                    return view(layers[0])
                top: tuple[int | None, int | None] = (None, None)
            else:
                top = (stack.enter_context(directory(upper)), stack.enter_context(directory(work)))
            options = ["userxattr"] if userxattr or self._inside else []
            return overlay_mount.mount(
                layers, *top, attributes=attributes, options=options, use=self._form, staging=tempfile.gettempdir()
            )

    def changes(self, lower: Sequence[Place], upper: Place) -> Iterator[Change]:
        """See UnionDriver.changes. What an opaque directory hides is not listed: the directory is MODIFIED."""
        with contextlib.ExitStack() as stack:
            layers = [stack.enter_context(directory(place)) for place in lower]
            top = stack.enter_context(directory(upper))
            for entry in walk(top):
                if not entry.path:
                    continue
                if whiteouts.is_whiteout(entry.status):
                    yield Change("/" + entry.path, Kind.DELETED)
                else:
                    yield Change("/" + entry.path, Kind.MODIFIED if exists(layers, entry.path) else Kind.ADDED)

    def diff(self, lower: Sequence[Place], upper: Place, out: BinaryIO) -> int:
        """See UnionDriver.diff."""
        with directory(upper) as top:
            return pack.pack(top, out)


def exists(layers: Sequence[int], path: str) -> bool:
    """Whether the union of these layers (fds, the lowest first) shows something at a path, as overlay would."""
    for layer in reversed(layers):
        found = whiteouts.shows(layer, path)
        if found is not None:
            return found
    return False


def view(layer: int) -> int:
    """A read-only copy of the mount a layer lies on, rooted in the layer."""
    fd = mounts.copy("", dirfd=layer)
    try:
        overlay_mount.make_readonly(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def directory(place: Place) -> Iterator[int]:
    """An fd of a directory given by path or by fd; only what was opened here is closed here."""
    if isinstance(place, int):
        yield place
        return
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
