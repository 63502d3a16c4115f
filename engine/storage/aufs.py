"""The kernel's own AUFS as a driver of the union contract (aufs(5); https://github.com/sfjro/aufs-standalone).

No usual kernel has it any more; live CDs, and who patches a kernel, do. What is different from overlay:

    branches    /rw=rw:/layer=ro+wh:…    `wh`: marks in a read-only branch count, as those of image layers must
    one page    mount(2) takes a page of options; further branches follow by remounts with `append:`
    marks       `.wh.x` and `.wh..wh..opq` in the directories themselves: OCI's form, so a diff needs no translation
    xino        a table of inode numbers in an unlinked file; on tmpfs, since AUFS writes to it all the time
    plink       names of hard links whose branches differ; written down (auplink(8)) before an unmount, or they part
    user        no user namespace may mount it, so it is never used inside a lab; AUFS cannot lie on AUFS or overlay

The calls to the kernel go through `Kernel`, so that what is asked of it can be tested where it is not there. AUFS in
user space, which labs use, is aufs_fuse/.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar

from engine.linux import mounts, procfs, syscalls
from engine.storage import overlay_mount, pack, whiteouts
from engine.storage.aufs_layers import translated
from engine.storage.overlay import directory, exists, view
from engine.storage.tree import Entry, walk
from engine.storage.union import Change, Kind, Place, UnionDriver, Verdict, trial

PAGE_BYTES = 4095
#: dio: direct I/O is passed on. dirperm1: a lower directory's mode does not count, as in overlay and as Docker did.
_WORDS = ("dio", "dirperm1")
_XINO = "/dev/shm"
#: File systems that AUFS refuses as a writable branch, or works wrongly on.
_UNFIT = ("aufs", "overlay", "btrfs", "ecryptfs", "fuse")
BUSY_TRIES, BUSY_S = 5, 0.1
_AUPLINK_S = 30.0


class Kernel:
    """What the driver asks of the machine."""

    def filesystems(self) -> str:
        """/proc/filesystems."""
        return Path("/proc/filesystems").read_text()

    def mapped(self) -> bool:
        """Whether we are in a user namespace other than the first."""
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]

    def backing(self, path: Path) -> str:
        """The type of the file system a directory lies on."""
        device = os.stat(path).st_dev
        name = f"{os.major(device)}:{os.minor(device)}"
        return next((one.type for one in procfs.mountinfo("self") if one.device == name), "")

    def mount(self, target: str, flags: int, data: str) -> None:
        """mount(2)."""
        syscalls.mount("none", target, "aufs", flags, data)

    def copy(self, path: str) -> int:
        """A detached copy of a mount."""
        return mounts.copy(path)

    def restrict(self, fd: int) -> None:
        """Make a detached mount read-only."""
        overlay_mount.make_readonly(fd)

    def unmount(self, target: str, flags: int) -> None:
        """umount2(2)."""
        syscalls.umount2(target, flags)

    def flush(self, target: str) -> None:
        """Write pseudo-links down: auplink(8), where it is installed; without it such links part at the unmount."""
        program = shutil.which("auplink")
        if program is not None:
            subprocess.run([program, target, "flush"], capture_output=True, timeout=_AUPLINK_S, check=False)


class AufsDriver(UnionDriver):
    """The kernel's AUFS."""

    name: ClassVar[str] = "aufs"
    # Two mounts that begin at once would fight for a name of the xino file.
    _lock = threading.Lock()
    _numbers = itertools.count(1)

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Kernel()

    def supported(self, backing: Path) -> Verdict:
        """Mount one on `backing`, delete a file in it, and look at what that left there."""
        kernel = self._kernel
        if "\taufs\n" not in kernel.filesystems():
            return Verdict(False, "this kernel has no AUFS (no usual one has had it since about 2021)")
        if kernel.mapped():
            return Verdict(False, "AUFS cannot be mounted in a user namespace")
        lies_on = kernel.backing(backing)
        if lies_on.partition(".")[0] in _UNFIT:
            return Verdict(False, f"{backing} lies on {lies_on}, on which AUFS writes no branch")
        wrong = trial(
            self,
            backing,
            lambda upper: (upper / f"{whiteouts.PREFIX}file").exists(),
            lambda error: f"a trial mount was refused: {error.strerror}",
        )
        if wrong:
            return Verdict(False, wrong)
        return Verdict(True, f"branches by mount(2), the options a page ({PAGE_BYTES} bytes) at a time")

    def mount(
        self,
        lower: Sequence[Place],
        upper: Place | None = None,
        work: Place | None = None,
        *,
        readonly: bool = False,
        userxattr: bool = False,
    ) -> int:
        """See UnionDriver.mount. The work directory stays empty: AUFS works in the upper one, under names of marks."""
        if not lower or (upper is None) != (work is None):
            raise ValueError("an AUFS needs a layer, and an upper directory comes with a work directory")
        if userxattr:
            raise OSError(errno.EPERM, "mount(aufs): not in a user namespace")
        with contextlib.ExitStack() as stack:
            layers = [stack.enter_context(directory(translated(place))) for place in lower]
            if upper is None and len(layers) == 1:
                return view(layers[0])
            top = None if upper is None else stack.enter_context(directory(upper))
            point = tempfile.mkdtemp(prefix=".hako-aufs-")
            stack.callback(os.rmdir, point)
            return self._mount_at(point, layers, top, readonly=readonly or top is None)

    def _mount_at(self, point: str, layers: Sequence[int], top: int | None, *, readonly: bool) -> int:
        kernel = self._kernel
        names = [name_of(fd) for fd in reversed(layers)]
        with self._lock:
            xino = f"{_XINO}/.hako-{os.getpid()}-{next(self._numbers)}.xino"
            first, *more = option_pages(None if top is None else name_of(top), names, xino)
            kernel.mount(point, syscalls.MS_RDONLY if top is None else 0, first)
        try:
            for page in more:
                kernel.mount(point, syscalls.MS_REMOUNT, page)
            fd = kernel.copy(point)
        finally:
            kernel.unmount(point, syscalls.MNT_DETACH)
        if readonly:
            try:
                kernel.restrict(fd)
            except OSError:
                os.close(fd)
                raise
        return fd

    def changes(self, lower: Sequence[Place], upper: Place) -> Iterator[Change]:
        """See UnionDriver.changes. AUFS's own names are not told; an opaque directory is MODIFIED."""
        with contextlib.ExitStack() as stack:
            layers = [stack.enter_context(directory(place)) for place in lower]
            found: list[Change] = []
            for entry in _entries(stack.enter_context(directory(upper))):
                parent, _, name = entry.path.rpartition("/")
                if name == whiteouts.OPAQUE or not name:
                    continue
                if name.startswith(whiteouts.PREFIX):
                    path = f"{parent}/{name[len(whiteouts.PREFIX) :]}".lstrip("/")
                    found.append(Change(f"/{path}", Kind.DELETED))
                else:
                    there = exists(layers, entry.path)
                    found.append(Change(f"/{entry.path}", Kind.MODIFIED if there else Kind.ADDED))
            # A mark sorts by its own name, the file it deletes by that.
            yield from sorted(found, key=lambda one: [os.fsencode(part) for part in one.path.split("/")])

    def diff(self, lower: Sequence[Place], upper: Place, out: BinaryIO) -> int:
        """See UnionDriver.diff: OCI's form is this one, less AUFS's own names."""
        with directory(upper) as top:
            marked = (entry.path if entry.name.startswith(whiteouts.PREFIX) else entry for entry in _entries(top))
            return pack.pack_entries(marked, out)

    def unmount(self, target: Path) -> None:
        """Write pseudo-links down first; what is busy is tried again, five times in half a second.

        Raises:
            OSError: EBUSY where it stays so; the mount is then still there.
        """
        place = os.fspath(target)
        self._kernel.flush(place)
        for left in reversed(range(BUSY_TRIES)):
            try:
                self._kernel.unmount(place, 0)
                return
            except OSError as error:
                if error.errno != errno.EBUSY or not left:
                    raise
            time.sleep(BUSY_S)


def option_pages(upper: str | None, lower: Sequence[str], xino: str) -> list[str]:
    """The options of the first mount and of the remounts after it, each within a page. Pure.

    Args:
        upper: the branch that is written to; None for a read-only union.
        lower: the others, the topmost first.
        xino: where the table of inode numbers is made.

    Raises:
        OSError: E2BIG for a branch that fits no page.
    """
    words = "," + ",".join((*_WORDS, f"xino={xino}"))
    branches = [f"{name}=ro+wh" for name in lower]
    if upper is not None:
        branches.insert(0, f"{upper}=rw")
    for branch in branches:
        if len(os.fsencode(branch)) > PAGE_BYTES - len(words) - len("br:"):
            raise OSError(errno.E2BIG, f"mount(aufs): the branch {branch[:80]}… does not fit into a page of options")
    first = "br:" + branches.pop(0)
    while branches and len(os.fsencode(f"{first}:{branches[0]}{words}")) <= PAGE_BYTES:
        first += ":" + branches.pop(0)
    pages = [first + words]
    while branches:
        page = "append:" + branches.pop(0)
        while branches and len(os.fsencode(f"{page},append:{branches[0]}")) <= PAGE_BYTES:
            page += ",append:" + branches.pop(0)
        pages.append(page)
    return pages


def name_of(fd: int) -> str:
    """The path of an open directory; its magic link where the path has a character that ends an option or a branch.

    AUFS knows no escapes. The link is followed at the mount, and the directory is what counts from then on.
    """
    return overlay_mount.name_of(fd, PAGE_BYTES // 4, unfit=":,=\\")


def _entries(top: int) -> Iterator[Entry]:
    """All of an upper directory but AUFS's own (`.wh..wh.plnk`, `.wh..wh.orph`, `.wh..wh.aufs`) and what that holds."""
    for entry in walk(top):
        parts = entry.path.split("/")
        if not any(part.startswith(whiteouts.INTERNAL_PREFIX) and part != whiteouts.OPAQUE for part in parts):
            yield entry
