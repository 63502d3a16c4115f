"""Lab disks: for every lab a sparse ext4 image on a loop device (man 4 loop, man 5 ext4), mounted detached.

It bounds what a lab can store, in bytes and in files, on every file system below the data directory; it holds the
upper directory of the lab's root even where the data directory itself lies on overlay; and its device number is the
lab's own, so its speed can be throttled. Space that the lab frees returns to the machine by `discard`.

    <folder>/.template-v1-<bytes>.img     template.py
    <folder>/<lab>/disk.img               sparse, at most <bytes>

The image is opened through a detached copy of its directory's mount: the kernel then knows it as `/disk.img`, and that,
not a path of the machine, is what the lab reads in /sys/block/loopN/loop/backing_file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput, Conflict, Exhausted, NotFound
from engine.linux import mounts, syscalls
from engine.storage import loop, template
from engine.storage.loop import Loop

IMAGE = "disk.img"
RESERVE_BYTES = 512 * 1024 * 1024  # images are sparse: keep so much of the machine's disk free for its owner
_LAB = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")


@dataclass(frozen=True)
class LabDisk:
    """An attached disk.

    Args:
        lab: whose it is.
        image: the file behind it.
        device: the loop device; `os.stat(device).st_rdev` is the number to throttle.
        mount_fd: its file system as a detached mount. Whoever got it closes it; when the last copy and every mount made
            of it are gone, the kernel releases the loop device.
    """

    lab: str
    image: Path
    device: str
    mount_fd: int

    def close(self) -> None:
        """Close `mount_fd`."""
        os.close(self.mount_fd)


class LabDisks:
    """The disks of one engine.

    Args:
        folder: below the data directory, one per engine; its path is part of the devices' names.
        reserve_bytes: `create` refuses when less than this would be left on the file system.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.folder = folder
        self._reserve = reserve_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # lo_file_name has 63 bytes, a path may have 4095: eight digits of a hash tell this engine from others.
        self._tag = "hako/" + hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8] + "/"

    def create(self, lab: str, size_bytes: int) -> LabDisk:
        """A fresh disk for a lab, attached and mounted detached.

        Args:
            lab: the lab's id.
            size_bytes: the size of the file system.

        Raises:
            BadInput: an id that is no file name of ours.
            Conflict: the lab has a disk.
            Exhausted: the machine's disk is nearly full, or there is no loop device left.
            Unsupported: no mkfs.ext4, no loop devices.
            OSError, Failed: a step did not work; nothing is left of it.
        """
        self._make_room()
        source = template.ensure(self.folder, size_bytes)
        image = self._image(lab)
        try:
            image.parent.mkdir(mode=0o700)
        except FileExistsError:
            raise Conflict(f"lab {lab} has a disk already", "Attach or destroy it.") from None
        try:
            _copy(source, image)
            return self._mount_image(lab, image)
        except BaseException:
            shutil.rmtree(image.parent)
            raise

    def attach(self, lab: str) -> LabDisk:
        """The disk a lab has, after a restart of the daemon or of the machine.

        Still bound to its loop device, it is mounted once more (the same file system). Else whoever had it may have
        died in the middle of a write: it is checked and mended by `e2fsck -p` first.

        Raises:
            NotFound: the lab has no disk.
            Failed: it is damaged beyond what e2fsck mends by itself; destroy it and begin afresh.
        """
        image = self._image(lab)
        if not image.exists():
            raise NotFound(f"lab {lab} has no disk", "Reset the lab.")
        found = loop.find(image)
        if found is None:
            template.check_ext4(image, hint="Reset the lab.")
            return self._mount_image(lab, image)
        fd = loop.open_device(found)
        try:
            return LabDisk(lab, image, found.device, mount_device(found.device))
        finally:
            os.close(fd)

    def destroy(self, lab: str) -> None:
        """Remove a lab's image. The loop device goes when the last mount of it goes; no disk is no error."""
        image = self._image(lab)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(image.parent)

    def labs(self) -> list[str]:
        """Whose disks there are."""
        return sorted(entry.name for entry in self.folder.iterdir() if _LAB.match(entry.name))

    def attached(self) -> dict[str, Loop]:
        """Our loop devices by lab, also those whose image is gone already."""
        ours = (found for found in loop.bound() if found.name.startswith(self._tag))
        return {found.name.removeprefix(self._tag): found for found in ours}

    def stale(self, live: Collection[str]) -> list[Loop]:
        """Our loop devices that no living lab needs: for the janitor, who ends what holds them or `release`s them."""
        return [found for lab, found in self.attached().items() if lab not in live]

    def sweep(self, live: Collection[str]) -> list[str]:
        """Remove images and release loop devices of labs that are no more. Returns those labs' ids."""
        for found in self.stale(live):
            loop.release(found)
        gone = [lab for lab in self.labs() if lab not in live]
        for lab in gone:
            self.destroy(lab)
        return gone

    def _image(self, lab: str) -> Path:
        if not _LAB.match(lab):
            raise BadInput(f"{lab[:80]!r} is no lab's id", "An id has lower-case letters, digits and hyphens.")
        return self.folder / lab / IMAGE

    def _make_room(self) -> None:
        status = os.statvfs(self.folder)
        free = status.f_bavail * status.f_frsize
        if free < self._reserve:
            raise Exhausted(
                f"{self.folder} has {free // 2**20} MiB free; a new lab needs {self._reserve // 2**20}",
                "Free some space, or choose another data directory.",
            )

    def _mount_image(self, lab: str, image: Path) -> LabDisk:
        file_fd = open_nameless(image)
        try:
            device, device_fd = loop.attach(file_fd, self._tag + lab)
        finally:
            os.close(file_fd)
        try:
            return LabDisk(lab, image, device.device, mount_device(device.device))
        finally:
            os.close(device_fd)  # from here on the mount keeps the device; without one it lets go of the file


def _copy(source: Path, image: Path) -> None:
    with source.open("rb", buffering=0) as old, image.open("xb", buffering=0) as new:
        os.fchmod(new.fileno(), 0o600)
        template.copy_sparse(old.fileno(), new.fileno())


def open_nameless(image: Path) -> int:
    """Open an image so that its path is `/disk.img`: below a detached copy of its own directory nothing else shows."""
    tree = mounts.copy(str(image.parent))
    try:
        return os.open(image.name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree)
    finally:
        os.close(tree)


def mount_device(device: str) -> int:
    """The ext4 on a device as a detached mount. No device node on it is ever honoured."""
    context = syscalls.fsopen("ext4")
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", device)
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, "discard")
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, syscalls.MOUNT_ATTR_NODEV)
    finally:
        os.close(context)
