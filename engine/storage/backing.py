"""A place for layers and upper directories where the data directory itself cannot be one.

Overlay refuses an upper directory that lies on overlay, and a layer must be shown with a lab's ids by an idmapped mount
(mount_setattr(2)), which overlay, NFS, FUSE and ZFS refuse. The data directory of a container without a volume lies on
overlay; so does many a live system's. There, and only there, one sparse ext4 image is kept in the data directory and
its directories are mounted over those of FOLDERS:

    <data>/store.ext4        the image, on a loop device
    <data>/layers            mounted from it, visible to whoever shares our mount namespace
    <data>/containers        the same

`prepare` comes before anything else uses the data directory, `release` when the engine ends for good. Labs need nothing
of this for their own writing: they have disks of their own (disk.py), which may lie on overlay.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from engine.errors import Failed
from engine.linux import mounts, procfs, syscalls
from engine.linux.procfs import Mount
from engine.storage import loop, template
from engine.storage.disk import mount_device, open_nameless
from engine.storage.union import Verdict

IMAGE = "store.ext4"
FOLDERS = ("layers", "containers")
# File systems whose mounts can be idmapped (FS_ALLOW_IDMAP), and which may hold an overlay's upper directory.
# tmpfs could, on new kernels; but an image of the machine's programs would then sit in memory for good.
GOOD = frozenset({"ext4", "xfs", "btrfs", "f2fs"})
_SHARE = 0.8  # of the free space: the image is sparse, so this is a bound and takes nothing away
_LARGEST_BYTES = 64 * 1024**3
_SMALLEST_BYTES = 1024**3


def verdict(data: Path) -> Verdict:
    """Whether layers and upper directories can lie directly below `data`, and why."""
    fstype = filesystem(data, procfs.mountinfo("self"))
    if fstype in GOOD:
        return Verdict(True, f"{data} is on {fstype}")
    return Verdict(False, f"{data} is on {fstype}, where layers cannot be idmapped: they go into {data / IMAGE}")


def filesystem(path: Path, table: list[Mount]) -> str:
    """The type of the file system a path lies on. Pure but for resolving the path.

    Args:
        table: mountinfo; of several mounts on one target the last is the one that is seen.
    """
    real = os.path.realpath(path)
    inside = [mount for mount in table if real == mount.target or real.startswith(mount.target.rstrip("/") + "/")]
    longest = max((len(mount.target) for mount in inside), default=0)
    return next((mount.type for mount in reversed(inside) if len(mount.target) == longest), "an unknown file system")


def prepare(data: Path) -> Verdict:
    """Make `data` fit for layers and upper directories. Does nothing where it is, or where it was done already.

    Returns:
        What was found, as `verdict`.

    Raises:
        Unsupported: no mkfs.ext4, or no loop devices.
        Failed: the image is damaged, or FOLDERS hold something already that a mount would hide.
        OSError: a call failed.
    """
    found = verdict(data)
    if found.ok or _mounted(data):
        return found
    for name in FOLDERS:
        folder = data / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if any(folder.iterdir()):
            raise Failed(f"{folder} is not empty, and {found.reason}", f"Remove what is in {folder}.")
    image = data / IMAGE
    if not image.exists():
        _make(image)
    bound = loop.find(image)
    if bound is None:
        template.check_ext4(image, hint=f"Remove {image}; images are made again, containers are lost.")
    with contextlib.ExitStack() as stack:
        if bound is None:
            file_fd = open_nameless(image)
            stack.callback(os.close, file_fd)
            bound, device_fd = loop.attach(file_fd, "hako/store")
        else:
            device_fd = loop.open_device(bound)
        stack.callback(os.close, device_fd)
        top = mount_device(bound.device)
        stack.callback(os.close, top)
        _attach(top, data, stack)
    return found


def release(data: Path) -> None:
    """Take the mounts away again; the image stays for the next start. Nothing mounted is no error."""
    for name in FOLDERS:
        try:
            syscalls.umount2(str(data / name), syscalls.MNT_DETACH)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):  # not a mount, not there
                raise


def _mounted(data: Path) -> bool:
    table = procfs.mountinfo("self")
    return all(filesystem(data / name, table) in GOOD for name in FOLDERS if (data / name).exists()) and any(
        mount.target == os.path.realpath(data / FOLDERS[0]) for mount in table
    )


def _attach(top: int, data: Path, stack: contextlib.ExitStack) -> None:
    """Put the image's folders over those of `data`.

    Before Linux 6.15 a detached mount cannot be copied from (EINVAL), so the whole lies on one of them for a moment.
    """
    place = str(data / FOLDERS[0])
    copies = []
    mounts.attach_path(top, place)
    try:
        for name in FOLDERS:
            copies.append(mounts.copy(name, dirfd=top))
            stack.callback(os.close, copies[-1])
    finally:
        syscalls.umount2(place, syscalls.MNT_DETACH)
    for name, fd in zip(FOLDERS, copies, strict=True):
        mounts.attach_path(fd, str(data / name))


def _make(image: Path) -> None:
    status = os.statvfs(image.parent)
    free = int(status.f_bavail * status.f_frsize * _SHARE)
    with tempfile.TemporaryDirectory(prefix=".store-", dir=image.parent) as work:
        content, new = Path(work, "content"), Path(work, "image")
        for name in FOLDERS:
            (content / name).mkdir(mode=0o700, parents=True)
        # With a journal: unlike a lab's disk this one is kept over years.
        template.make_ext4(new, max(_SMALLEST_BYTES, min(_LARGEST_BYTES, free)), content, journal=True)
        new.rename(image)
