"""The overlay driver of the union contract (Documentation/filesystems/overlayfs.rst): in every kernel since 3.18.

The mount itself is made by overlay_mount.py, the marks are whiteouts.py's. Here is what overlay means for an engine: on
what it can lie, and how to read its upper directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar

from engine.linux import mounts, syscalls
from engine.storage import overlay_mount, pack, whiteouts
from engine.storage.tree import walk
from engine.storage.union import Change, Kind, Place, UnionDriver, Verdict

_BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


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
        """Mount one on `backing`, change and delete a file in it, and look at what that left there."""
        with tempfile.TemporaryDirectory(prefix=".overlay-trial-", dir=backing) as folder:
            lower, upper, work = (Path(folder, name) for name in ("lower", "upper", "work"))
            for place in (lower, upper, work):
                place.mkdir()
            (lower / "file").touch()
            try:
                fd = self.mount([lower], upper, work)
            except OSError as error:
                return Verdict(False, f"{error.strerror} (is {backing} itself on overlay?)")
            try:
                os.unlink("file", dir_fd=fd)
            except OSError as error:
                return Verdict(False, f"a file in it could not be deleted: {error.strerror}")
            finally:
                os.close(fd)
            if not whiteouts.is_whiteout(os.lstat(upper / "file")):
                return Verdict(False, "a deleted file left no whiteout")
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
    parts = path.split("/")
    for layer in reversed(layers):
        found = _look(layer, parts)
        if found is not None:
            return found
    return False


def _look(layer: int, parts: list[str]) -> bool | None:
    """What one layer says about a path: there, hidden, or (None) nothing, so that the next one decides."""
    hidden = None
    for depth in range(1, len(parts) + 1):
        try:
            fd = syscalls.openat2(layer, "/".join(parts[:depth]), os.O_PATH | os.O_NOFOLLOW, resolve=_BENEATH)
        except OSError:
            return hidden  # not in this layer
        try:
            status = os.fstat(fd)
            if whiteouts.is_whiteout(status):
                return False
            if depth == len(parts):
                return True
            if not stat.S_ISDIR(status.st_mode):
                return False  # a file where the path wants a directory hides all that is below
            if _opaque(fd):
                hidden = False
        finally:
            os.close(fd)
    return hidden


def _opaque(path_fd: int) -> bool:
    """xattrs cannot be read from an O_PATH fd: open the directory behind it."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=path_fd)
    try:
        return whiteouts.is_opaque(fd)
    finally:
        os.close(fd)


def view(layer: int) -> int:
    """A read-only copy of the mount a layer lies on, rooted in the layer."""
    fd = mounts.copy("", dirfd=layer)
    try:
        mounts.restrict(fd, ["ro"])
    except OSError as error:
        if error.errno != errno.EINVAL:
            os.close(fd)
            raise
        # Before Linux 5.12 only a mount that has a place can be made read-only: give it one for a moment.
        with overlay_mount.point(fd) as place:
            mounts.attach_path(fd, place)
            os.close(fd)
            try:
                syscalls.mount(None, place, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)
                return mounts.copy(place)
            finally:
                syscalls.umount2(place, syscalls.MNT_DETACH)
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
