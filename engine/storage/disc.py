"""The live CD's disc: a squashfs image that a lab finds at /cdrom, which nobody can write (man 1 mksquashfs).

A lab's root can mount neither squashfs nor erofs, so the engine attaches the disc to a loop device and mounts it. It
is pressed once for a data directory: a small system that a learner can start with chroot(8), a letter, and a film that
is larger than a small memory. Every lab gets a copy of its own, because all that is on it shall belong to that lab's
root. Squashfs keeps its owners in one table of numbers; `-noId` leaves that table uncompressed, and the copy gets the
lab's number in it. An id-mapped mount would do the same, but squashfs has them since Linux 6.2 only.

    <folder>/.disc-v1-<layer>.img     pressed once
    <folder>/<lab>/disc.img           the lab's copy, gone with the lab's disk (disk.py)
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from engine.errors import Failed, Unsupported
from engine.linux import mounts, syscalls
from engine.storage import loop

IMAGE = "disc.img"
PRESS = "mksquashfs"
PACKAGE = "squashfs-tools"
FILM_BYTES = 64 * 1024 * 1024
_VERSION = 1  # part of the name: a change of what is on the disc presses a new one
_FOLDERS = "/usr/bin:/usr/sbin:/bin:/sbin"
_TIMEOUT_S = 120.0  # it takes 0.3 s here
_OPTIONS = ["-noappend", "-no-progress", "-quiet", "-all-root", "-no-xattrs", "-noId", "-comp", "gzip"]
# struct squashfs_super_block: no_ids are the 16 bits at byte 26, id_table_start the 64 bits at byte 48. From there on
# stand the places of metadata blocks; a block begins with its length, whose top bit says that it is not compressed.
_MAGIC, _NO_IDS, _ID_TABLE, _PLAIN = b"hsqs", 26, 48, 0x8000

_LETTER = """\
You found the letter on the disc. Nobody can change it: it was pressed.
ディスクの手紙を見つけましたね。プレスされているので、誰にも書き換えられません。
"""
_README = """\
Hako live: a small system on a disc that cannot be written.
  bin/         one program, busybox, under many names
  home/guest/  a letter, a film (64 MB), three games
Start it with chroot, once there is something above it that can be written.
"""
_GAMES = ("chess", "go", "shogi")
# Of busybox's some four hundred names those that one types: who looks into the disc's layer shall find the film.
_COMMANDS = (
    "sh cat chmod chown clear cp date df du echo env false find free grep head hostname id kill less ln ls mkdir mount "
    "mv ps pwd rm rmdir sed sleep sort stat tail tar touch tree true umount uname vi wc which whoami"
)


def insert(folder: Path, lab: str, owner: int, system: Path) -> int:
    """A disc for a lab, mounted detached and read-only.

    Args:
        folder: where the disks are; the lab has its folder in there.
        owner: the lab's first id: on the machine, its root has this number.
        system: the files of the image whose programs are on the disc.

    Returns:
        The mount. Whoever got it closes it; with the last mount of it the kernel releases the loop device.

    Raises:
        Unsupported: no mksquashfs, no squashfs in this kernel, no loop devices.
        Exhausted: there is no loop device left.
        Failed, OSError: a step did not work.
    """
    master = _master(folder, system)
    image = folder / lab / IMAGE
    shutil.copyfile(master, image)
    image.chmod(0o600)
    _belong_to(image, owner)
    tree = mounts.copy(str(image.parent))  # so that the kernel knows it as /disc.img: see disk.py, `open_nameless`
    try:
        file_fd = os.open(IMAGE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree)
    finally:
        os.close(tree)
    try:
        device, device_fd = loop.attach(file_fd, f"hako-disc/{lab}")
    finally:
        os.close(file_fd)
    try:
        return _mount(device.device)
    finally:
        os.close(device_fd)


def press() -> str:
    """The path of mksquashfs. Unsupported where it is not installed."""
    path = shutil.which(PRESS, path=_FOLDERS)
    if path is None:
        raise Unsupported(f"{PRESS} is not installed, so there is no disc for this lab", f"Install {PACKAGE}.")
    return path


def _master(folder: Path, system: Path) -> Path:
    master = folder / f".disc-v{_VERSION}-{system.parent.name[-12:]}.img"
    if not master.exists():
        with tempfile.TemporaryDirectory(prefix=".disc-", dir=folder) as work:
            content, image = Path(work, "content"), Path(work, "image")
            _lay_out(content, system)
            _press(content, image)
            image.rename(master)  # whole or not at all; two makers make the same
    return master


def _lay_out(content: Path, system: Path) -> None:
    """What is on the disc."""
    shutil.copytree(system, content, symlinks=True, ignore=_unused)
    guest = content / "home/guest"
    games = guest / "games"
    games.mkdir(parents=True)
    (content / "README").write_text(_README)
    (content / "etc/hostname").write_text("live\n")
    (guest / "letter").write_text(_LETTER)
    for name in _GAMES:
        (games / name).write_text(f"This is {name}.\n")
    # Not zeros: they would become a hole. 8 KiB that come again and again are pressed to next to nothing.
    frame = b"".join(b"frame %05d: a small boat on a great sea, seen from above, for hours.\n" % n for n in range(120))
    with (guest / "film").open("wb") as film:
        while film.tell() < FILM_BYTES:
            film.write(frame[: FILM_BYTES - film.tell()])


def _unused(folder: str, names: list[str]) -> set[str]:
    """What is left out of the system: in bin/ the names of busybox that are not in _COMMANDS."""
    if os.path.basename(folder) != "bin":
        return set()
    kept = _COMMANDS.split()
    return {name for name in names if os.path.islink(os.path.join(folder, name)) and name not in kept}


def _press(content: Path, image: Path) -> None:
    command = [press(), str(content), str(image), *_OPTIONS]
    environment = {"PATH": _FOLDERS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-400:]
        raise Failed(f"{PRESS}({image}) ended with {done.returncode}: {said}", "Is the disk full?")


def _belong_to(image: Path, owner: int) -> None:
    """Write the one owner of all files: user and group number `owner`."""
    with image.open("r+b") as file:
        head = file.read(96)
        (count,) = struct.unpack_from("<H", head, _NO_IDS)
        (table,) = struct.unpack_from("<Q", head, _ID_TABLE)
        file.seek(table)
        (block,) = struct.unpack("<Q", file.read(8))
        file.seek(block)
        (length,) = struct.unpack("<H", file.read(2))
        if head[:4] != _MAGIC or count != 1 or length != _PLAIN | 4:
            raise Failed(f"{image}: {PRESS} did not leave one plain owner ({count} owners, block {length:#x}).")
        file.write(struct.pack("<I", owner))


def _mount(device: str) -> int:
    try:
        context = syscalls.fsopen("squashfs")
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        hint = "Load the module: modprobe squashfs"
        raise Unsupported("this kernel has no squashfs, so there is no disc for this lab", hint) from error
    try:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, "source", device)
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, "ro")
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        attributes = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOSUID
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)
