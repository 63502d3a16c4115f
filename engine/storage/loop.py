"""Loop devices: a file seen as a block device (man 4 loop; linux/loop.h).

LOOP_CONFIGURE (Linux 5.8) binds file, block size, flags and name in one ioctl(2), so no half-made device is ever seen.
Devices are bound with AUTOCLEAR: when the last mount and the last fd go, the device lets go of its file by itself.

Which device is ours is not told by sysfs (there the file's path is `/disk.img`, see disk.py) but by the 64 bytes of
`lo_file_name`, which belong to whoever binds the device. This module knows nothing of labs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Exhausted, Unsupported

_LOOP_CLR_FD, _LOOP_GET_STATUS64, _LOOP_CONFIGURE = 0x4C01, 0x4C05, 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_AUTOCLEAR, _DIRECT_IO = 4, 16
_MAJOR = 7
_CONTROL = "/dev/loop-control"
# struct loop_info64: device inode rdevice offset sizelimit | number encrypt_type key_size flags | names, key | init
_INFO = struct.Struct("=5Q4I64s64s32s2Q")
# struct loop_config: fd block_size info reserved
_CONFIG = struct.Struct(f"=2I{_INFO.size}s8Q")
_TRIES = 32  # between GET_FREE and CONFIGURE somebody else may take the device; with 32 labs at once this is rare
BLOCK_BYTES = 4096  # the page size: direct I/O then never has to read before it writes
NAME_BYTES = 63


@dataclass(frozen=True)
class Loop:
    """A bound loop device.

    Args:
        number: N of /dev/loopN.
        name: lo_file_name, as given to `attach`.
        file: (st_dev, st_ino) of the file behind it.
    """

    number: int
    name: str
    file: tuple[int, int]

    @property
    def device(self) -> str:
        """Its path."""
        return f"/dev/loop{self.number}"


def attach(file_fd: int, name: str) -> tuple[Loop, int]:
    """Bind a file to a free loop device.

    Args:
        file_fd: opened for reading and writing.
        name: at most NAME_BYTES bytes, to find it again.

    Returns:
        The device and an fd of it. The device is released when this fd and every mount of it are gone.

    Raises:
        Unsupported: no loop devices on this machine.
        Exhausted: every device tried was taken by somebody else.
        OSError: as of ioctl(2).
    """
    for _ in range(_TRIES):
        number = _free_number()
        fd = _open(number)
        try:
            _configure(fd, file_fd, name)
        except OSError as error:
            os.close(fd)
            if error.errno == errno.EBUSY:
                continue
            raise OSError(error.errno, f"ioctl(/dev/loop{number}, LOOP_CONFIGURE): {error.strerror}") from error
        status = os.fstat(file_fd)
        return Loop(number, name, (status.st_dev, status.st_ino)), fd
    raise Exhausted(f"no free loop device in {_TRIES} tries", "Close labs, or end what else uses loop devices.")


def bound() -> Iterator[Loop]:
    """Every loop device that has a file, whoever bound it."""
    for folder in sorted(Path("/sys/block").glob("loop*/loop")):
        number = int(folder.parent.name.removeprefix("loop"))
        with contextlib.suppress(OSError):  # it let go of its file while we looked
            fd = _open(number)
            try:
                yield _status(fd, number)
            finally:
                os.close(fd)


def find(file: Path) -> Loop | None:
    """The device a file is bound to. Two devices of one file would be two file systems writing over each other."""
    status = file.stat()
    return next((loop for loop in bound() if loop.file == (status.st_dev, status.st_ino)), None)


def release(loop: Loop) -> None:
    """Let go of the file; while the device is still mounted somewhere, as soon as it no longer is."""
    with contextlib.suppress(FileNotFoundError):
        fd = _open(loop.number)
        try:
            # Another file may be behind the device by now; then it is no longer ours to release.
            if _status(fd, loop.number).file == loop.file:
                fcntl.ioctl(fd, _LOOP_CLR_FD)
        except OSError as error:
            if error.errno != errno.ENXIO:  # it has no file any more
                raise
        finally:
            os.close(fd)


def open_device(loop: Loop) -> int:
    """An fd that keeps a bound device bound."""
    return _open(loop.number)


def _configure(fd: int, file_fd: int, name: str) -> None:
    """With 4096-byte blocks and direct I/O; without one or the other where kernel or file system refuse them."""
    for block_bytes, flags in ((BLOCK_BYTES, _DIRECT_IO), (0, _DIRECT_IO), (BLOCK_BYTES, 0), (0, 0)):
        info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags | _AUTOCLEAR, os.fsencode(name)[:NAME_BYTES], b"", b"", 0, 0)
        try:
            fcntl.ioctl(fd, _LOOP_CONFIGURE, _CONFIG.pack(file_fd, block_bytes, info, *[0] * 8))
            return
        except OSError as error:
            if error.errno != errno.EINVAL or (block_bytes, flags) == (0, 0):
                raise


def _status(fd: int, number: int) -> Loop:
    fields = _INFO.unpack(fcntl.ioctl(fd, _LOOP_GET_STATUS64, bytes(_INFO.size)))
    return Loop(number, fields[9].rstrip(b"\0").decode(errors="replace"), (_device(fields[0]), fields[1]))


def _device(encoded: int) -> int:
    """huge_encode_dev() of the kernel to st_dev: the same number up to 12 bits of major and 20 of minor."""
    return os.makedev((encoded >> 8) & 0xFFF, (encoded & 0xFF) | ((encoded >> 12) & 0xFFF00))


def _free_number() -> int:
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Unsupported(
            f"open({_CONTROL}): {error.strerror}",
            "Load the module `loop`; in Docker start the container with --privileged.",
        ) from error
    try:
        return fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def _open(number: int) -> int:
    """Open a device; where /dev has no node for it (a container's own /dev) make one."""
    path = f"/dev/loop{number}"
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(_MAJOR, number))
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
