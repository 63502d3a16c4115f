"""The guest's second disk: this project as it lies here, with the packages of its .venv that the tests need.

It is mounted on /srv: the project in /srv/hako, the arguments of the guest's pytest in /srv/arguments.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.vm.guest_root import make_ext4

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("engine", "web", "lessons", "tests", "docs", "hako", "pyproject.toml", "README.md", "README.ja.md")
# Large, and of no use where neither a browser nor a linter runs.
LEFT_OUT = ("playwright*", "mypy*", "*__mypyc*", "ruff*", "pip", "setuptools", "pkg_resources", "greenlet")


def make(folder: Path, arguments: Sequence[str], size: str = "1G") -> Path:
    """The disk, in `folder`."""
    tree = folder / "tree"
    project = tree / "hako"
    project.mkdir(parents=True)
    # With their times, or Python would not trust the bytecode beside them and compile all of it again.
    present = [str(ROOT / name) for name in PARTS if (ROOT / name).exists()]
    subprocess.run(["cp", "--archive", "--reflink=auto", *present, str(project)], check=True, timeout=60)
    ignore = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(ROOT / ".venv", project / ".venv", symlinks=True, ignore=ignore)
    (tree / "arguments").write_text(" ".join(arguments) + "\n")
    disk = folder / "project.ext4"
    make_ext4(tree, disk, size)
    subprocess.run(["rm", "-rf", str(tree)], check=True, timeout=60)
    return disk
