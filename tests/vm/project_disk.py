"""The guest's second disk: this project as it lies here, its .venv, and the base images, made before it boots.

It is mounted on /srv: the project in /srv/hako, the base images in /srv/images, the arguments of the guest's pytest in
/srv/arguments. The images are made of the guest's own programs and by its own Python, in a chroot on its two disks:
that takes two seconds, in the emulated processor a minute.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.vm.guest_root import GuestRoot, make_ext4

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SIZE = "2G"
PARTS = (
    "engine",
    "web",
    "lessons",
    "tests",
    "docs",
    "hako",
    "pyproject.toml",
    "README.md",
    "README.ja.md",
    "static/dist",
)
# Large, and of no use where neither a browser nor a linter runs.
LEFT_OUT = ("playwright*", "mypy*", "*__mypyc*", "ruff*", "pip", "setuptools", "pkg_resources", "greenlet")
MAKE_S = 120.0


def make(root: GuestRoot, folder: Path, arguments: Sequence[str]) -> Path:
    """The disk, in `folder`.

    Raises:
        subprocess.CalledProcessError: a program failed; its words are on the test's standard error.
    """
    tree = folder / "tree"
    project = tree / "hako"
    project.mkdir(parents=True)
    # With their times, or Python would not trust the bytecode beside them and compile all of it again.
    present = [name for name in PARTS if (ROOT / name).exists()]
    copy = ["cp", "--archive", "--parents", "--reflink=auto", *present, str(project)]
    subprocess.run(copy, cwd=ROOT, check=True, timeout=MAKE_S)
    ignore = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(ROOT / ".venv", project / ".venv", symlinks=True, ignore=ignore)
    (tree / "arguments").write_text("\n".join(arguments) + "\n")
    disk = folder / "project.ext4"
    make_ext4(tree, disk, SIZE)
    subprocess.run(["rm", "-rf", str(tree)], check=True, timeout=MAKE_S)
    _make_images(root.disk, disk, folder / "mnt")
    return disk


def _make_images(root: Path, disk: Path, point: Path) -> None:
    point.mkdir()
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        str(HERE / "images.sh"),
        str(root),
        str(disk),
        str(point),
    ]
    subprocess.run(command, check=True, timeout=MAKE_S)
