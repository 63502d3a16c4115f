"""The disk a guest starts from: a Debian with its cloud kernel, made once and kept in .build/vm/.

Made by mmdebstrap(1) from the machine's own package sources, with the packages that ./hako up would install and nothing
of the project: that is on a disk of its own (project_disk.py), so this one is made anew only when its recipe changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.images import programs

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".build/vm"
SIZE = "4G"  # sparse: what the tests write is never kept, see machine.py
MAKE_S = 300.0


@dataclass(frozen=True)
class GuestRoot:
    """What QEMU needs of a Debian: `disk`, an ext4 file system; a `kernel` of it; its `modules`, a folder as in
    /lib/modules; `busybox`, a static one for the initramfs.

    Attributes:
        which: "newest" or "oldest" of the kernels on the disk, see kernel.sh.
    """

    folder: Path
    which: str = "newest"

    @property
    def disk(self) -> Path:
        return self.folder / "root.ext4"

    @property
    def kernel(self) -> Path:
        return self.folder / self.which / "vmlinuz"

    @property
    def modules(self) -> Path:
        return self.folder / self.which / "modules"

    @property
    def busybox(self) -> Path:
        return self.folder / "busybox"


def suite() -> str:
    """The release of this machine, whose Python the guest must have since it runs this machine's .venv."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"].strip('"')


def packages() -> list[str]:
    """What the guest's Debian holds beside its smallest self."""
    return [*programs.packages("debian"), "kmod", "systemd-sysv"]


def ensure(which: str = "newest") -> GuestRoot:
    """The root, made if it is not there: about a minute and a half a gigabyte's disk.

    Args:
        which: of its kernels, "newest" or "oldest".

    Raises:
        subprocess.CalledProcessError: a program failed; its words are on the test's standard error.
    """
    recipe = [suite(), SIZE, *packages(), (HERE / "kernel.sh").read_text()]
    name = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    with _locked():
        done = CACHE / name
        if not done.is_dir():
            for old in CACHE.glob("[0-9a-f]*"):
                shutil.rmtree(old)
            making = CACHE / "making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            _make(GuestRoot(making))
            making.rename(done)
        return GuestRoot(done, which)


@contextmanager
def _locked() -> Iterator[None]:
    """Two test runs at once make it once; the kernel drops the lock with the process."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(root: GuestRoot) -> None:
    tree = root.folder / "tree"
    words = [f"--include={','.join(packages())}", f"--customize-hook={HERE / 'kernel.sh'}"]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", *words, suite(), str(tree)]
    subprocess.run(command, check=True, timeout=MAKE_S)
    for each in (replace(root, which=which) for which in ("newest", "oldest")):
        kernel = (tree / "boot" / each.which).resolve()
        each.kernel.parent.mkdir()
        shutil.copyfile(kernel, each.kernel)
        shutil.copytree(tree / "lib/modules" / kernel.name.removeprefix("vmlinuz-"), each.modules, symlinks=True)
    shutil.copyfile(tree / "bin/busybox", root.busybox)
    make_ext4(tree, root.disk, SIZE)
    subprocess.run(["rm", "-rf", str(tree)], check=True, timeout=60)


def make_ext4(tree: Path, disk: Path, size: str) -> None:
    """An ext4 file system in a sparse file, with the files of a folder in it (mke2fs(8), -d)."""
    options = ["-q", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "-m", "0", "-d", str(tree)]
    subprocess.run(["mkfs.ext4", *options, str(disk), size], check=True, timeout=MAKE_S)
