"""The contract of a union file system: several directories seen as one, of which only the top one is written to.

    merged     what processes see
    upper      what they changed            one per container, empty at first
    lower …    the layers of the image      shared by all, never changed

A driver is one way to get that from a kernel. `drivers` lists them in the order of preference; `choose` takes the
first that this kernel and the file system below the data directory can do, and keeps the reasons of those it passed
over, for `hako doctor`.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

from engine.errors import Unsupported
from engine.linux import syscalls

Place = Path | str | int  # a directory: its path, or an fd of it (O_PATH will do, so will a detached mount)


class Kind(IntEnum):
    """What happened to a file, with the numbers of Docker's `GET /containers/{id}/changes`."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


class Change(NamedTuple):
    """One file that differs between the image and a container; `path` begins with a slash."""

    path: str
    kind: Kind


class Verdict(NamedTuple):
    """Whether a driver can be used here, and the reason in one sentence."""

    ok: bool
    reason: str


class UnionDriver(ABC):
    """One kind of union file system. Drivers hold no state: a mount lives in its fd."""

    name: ClassVar[str]
    #: A mount takes long and is not for the event loop's own thread.
    slow: ClassVar[bool] = False

    @abstractmethod
    def supported(self, backing: Path) -> Verdict:
        """Try it for real below `backing`, a directory where upper directories will lie. Leaves nothing there."""

    @abstractmethod
    def mount(
        self,
        lower: Sequence[Place],
        upper: Place | None = None,
        work: Place | None = None,
        *,
        readonly: bool = False,
        userxattr: bool = False,
    ) -> int:
        """Mount detached: nobody sees the mount before it is put somewhere (move_mount(2)).

        Args:
            lower: the layers, the lowest first; at least one.
            upper: where changes go; None for a read-only view of the layers.
            work: an empty directory on the same file system as `upper`; needed with it.
            readonly: mounted read-only although there is an upper directory.
            userxattr: marks in `user.*` instead of `trusted.*`; needed inside a user namespace.

        Returns:
            An fd of the mount. Closing the last one unmounts what was not put anywhere.

        Raises:
            ValueError: no layer, or an upper without a work directory.
            OSError: the kernel refused; with what the file system said.
        """

    @abstractmethod
    def changes(self, lower: Sequence[Place], upper: Place) -> Iterator[Change]:
        """What an upper directory changes about its layers, a directory before what it holds.

        A directory in which something changed is itself MODIFIED, as in Docker. The upper directory may be hostile: it
        is walked by fd, links are not followed.
        """

    @abstractmethod
    def diff(self, lower: Sequence[Place], upper: Place, out: BinaryIO) -> int:
        """Write what an upper directory changes as an OCI layer (a tar with `.wh.` whiteouts).

        Returns:
            The number of entries.
        """

    def unmount(self, target: Path) -> None:
        """Take a mount that was put somewhere away from there; what is still open in it goes on (umount2(2))."""
        syscalls.umount2(os.fspath(target), syscalls.MNT_DETACH)


def trial(driver: UnionDriver, backing: Path, marked: Callable[[Path], bool], refused: Callable[[OSError], str]) -> str:
    """Mount a union on `backing`, delete a file in it, and look at what that left there. Leaves nothing.

    Args:
        marked: whether the upper directory in which `file` was deleted says so.
        refused: the sentence for a mount that the kernel does not make.

    Returns:
        What is wrong; "" where all is well.
    """
    with tempfile.TemporaryDirectory(prefix=f".{driver.name}-trial-", dir=backing) as folder:
        lower, upper, work = (Path(folder, name) for name in ("lower", "upper", "work"))
        for place in (lower, upper, work):
            place.mkdir()
        (lower / "file").touch()
        try:
            fd = driver.mount([lower], upper, work)
        except OSError as error:
            return refused(error)
        try:
            os.unlink("file", dir_fd=fd)
        except OSError as error:
            return f"a file in it could not be deleted: {error.strerror}"
        finally:
            os.close(fd)
        return "" if marked(upper) else "a deleted file left no whiteout"


def drivers() -> tuple[UnionDriver, ...]:
    """The table of drivers, the preferred one first; `vfs` works everywhere, at the price of a copy."""
    from engine.storage.aufs import AufsDriver  # they build on this module
    from engine.storage.overlay import OverlayDriver
    from engine.storage.vfs import VfsDriver

    return (OverlayDriver(), AufsDriver(), VfsDriver())


def choose(backing: Path) -> tuple[UnionDriver, dict[str, Verdict]]:
    """The driver to use for upper directories below `backing`, and what was found about each that was tried.

    Raises:
        Unsupported: none works here; with each one's reason.
    """
    verdicts: dict[str, Verdict] = {}
    for driver in drivers():
        verdicts[driver.name] = verdict = driver.supported(backing)
        if verdict.ok:
            return driver, verdicts
    reasons = "; ".join(f"{name}: {verdict.reason}" for name, verdict in verdicts.items())
    raise Unsupported(
        f"no union file system works below {backing}: {reasons}", "Put the data directory on ext4 or xfs (HAKO_DATA)."
    )
