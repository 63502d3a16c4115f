"""The template of a lab's disk: an ext4 file system in a sparse file, made once; and the copy that each lab gets.

    up/    upper directory of the lab's root (engine.md 9.2 c: the engine cannot mkdir on an idmapped disk, so they are
    wk/    its work directory                 here from the start)
    lab/   the learner's own place on ext4: /var/lib/lab

mke2fs(8) fills it with `-d`, without a mount and without root. There is no journal: a lab is thrown away, and its disk
is checked when it is found again after a crash (disk.py). One inode per 16 KiB bounds the number of files, the size of
the file system bounds the bytes. The feature list is explicit, so the distribution's mke2fs.conf has no say.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from engine.errors import Failed, Unsupported

DIRECTORIES = {"up": 0o755, "wk": 0o755, "lab": 0o755}
BYTES_PER_INODE = 16384
SMALLEST_BYTES = 16 * 1024 * 1024
_FEATURES = (
    "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super2,large_file,huge_file,dir_nlink,extra_isize,"
    "metadata_csum"
)
_VERSION = 1  # part of the name: a change here makes a new template beside the old one
_FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT_S = 120.0  # e2fsck of an empty 2 GiB disk takes 0.02 s, of a full one about a second
_CLEAN, _CORRECTED = 0, 1  # e2fsck(8), EXIT CODE
_CHUNK_BYTES = 1 << 20


def ensure(folder: Path, size_bytes: int) -> Path:
    """The template for disks of this size, made at the first call.

    Raises:
        Unsupported: mkfs.ext4 is not installed.
        Failed: it did not work; with what it said.
    """
    template = folder / f".template-v{_VERSION}-{size_bytes}.img"
    if not template.exists():
        _make(folder, template, size_bytes)
    return template


def tool(name: str) -> str:
    """The path of one of e2fsprogs' programs. Unsupported where it is not installed."""
    path = shutil.which(name, path=_FOLDERS)
    if path is None:
        raise Unsupported(f"{name} is not installed", "Install the package e2fsprogs.")
    return path


def copy_sparse(source_fd: int, target_fd: int) -> None:
    """Copy a file's data and leave its holes holes (man 2 lseek, SEEK_DATA; man 2 copy_file_range).

    The kernel copies, or shares the blocks where the file system can.
    """
    size = os.fstat(source_fd).st_size
    os.ftruncate(target_fd, size)
    offset = 0
    while offset < size:
        try:
            start = os.lseek(source_fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        offset = os.lseek(source_fd, start, os.SEEK_HOLE)
        _copy_range(source_fd, target_fd, start, offset)


def _copy_range(source_fd: int, target_fd: int, start: int, end: int) -> None:
    in_kernel = True
    while start < end:
        if in_kernel:
            try:
                copied = os.copy_file_range(source_fd, target_fd, end - start, start, start)
            except OSError as error:
                # Some file systems (and some pairs of them) cannot: then through our memory.
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                in_kernel = False
                continue
        else:
            copied = os.pwrite(target_fd, os.pread(source_fd, min(_CHUNK_BYTES, end - start), start), start)
        if copied == 0:
            raise OSError(errno.EIO, "copy_file_range: the template became shorter")
        start += copied


def make_ext4(image: Path, size_bytes: int, content: Path, *, journal: bool = False) -> None:
    """Make a sparse file with an ext4 that holds a copy of `content`.

    Raises:
        Unsupported: mkfs.ext4 is not installed.
        Failed: it did not work; with what it said.
    """
    with image.open("wb") as file:
        file.truncate(max(size_bytes, SMALLEST_BYTES))
    features = _FEATURES + (",has_journal" if journal else "")
    options = f"-q -F -t ext4 -b 4096 -I 256 -i {BYTES_PER_INODE} -m 0 -O {features}".split()
    extended = "lazy_itable_init=1,nodiscard,root_owner=0:0"
    command = [tool("mkfs.ext4"), *options, "-E", extended, "-d", str(content), str(image)]
    environment = {"MKE2FS_CONFIG": "/dev/null", "PATH": _FOLDERS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Failed(f"mkfs.ext4({image}) ended with {done.returncode}: {said}", "Is the disk full?")


def check_ext4(image: Path, *, hint: str) -> None:
    """Check and mend an unmounted ext4 image: `e2fsck -p`, which changes only what needs no decision.

    Args:
        hint: what to do when it cannot be mended.

    Raises:
        Unsupported: e2fsck is not installed.
        Failed: it is damaged beyond that.
    """
    command = [tool("e2fsck"), "-p", str(image)]
    try:
        done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"e2fsck({image}) did not end in {_TIMEOUT_S:.0f} s", hint) from None
    if done.returncode not in (_CLEAN, _CORRECTED):
        said = (done.stdout + done.stderr).strip()[-400:]
        raise Failed(f"the disk {image} is damaged: e2fsck ended with {done.returncode}: {said}", hint)


def _make(folder: Path, template: Path, size_bytes: int) -> None:
    with tempfile.TemporaryDirectory(prefix=".template-", dir=folder) as work:
        content, image = Path(work, "content"), Path(work, "image")
        content.mkdir()
        for name, mode in DIRECTORIES.items():
            (content / name).mkdir()
            (content / name).chmod(mode)
        make_ext4(image, size_bytes, content)
        image.rename(template)  # whole or not at all; two makers make the same
