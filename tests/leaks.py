"""Looks for what a test left on the machine under an instance name: the kernel's own lists, read once.

It finds links, cgroups, nftables tables, mounts, loop devices and processes. It cannot find what carries no name and
no path of ours (a namespace kept by an open descriptor alone): the process that keeps it is found instead.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def _links() -> list[str]:
    return [f"link {path.name}" for path in Path("/sys/class/net").iterdir()]


def _cgroups() -> list[str]:
    # Our group lies directly below the root of each hierarchy: v1 has one folder per controller, hybrid one more.
    roots = [CGROUP_ROOT, *CGROUP_ROOT.iterdir()] if CGROUP_ROOT.is_dir() else []
    return [f"cgroup {path}" for root in roots if root.is_dir() for path in root.iterdir() if path.is_dir()]


def _tables() -> list[str]:
    try:
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return []
    return [f"nft {line}" for line in listed.stdout.splitlines()]


def _mounts() -> list[str]:
    return [f"mount {line.split()[4]}" for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _loops() -> list[str]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(f"loop device {backing.parent.parent.name} of {backing.read_text().strip()}")
        except OSError:
            continue  # detached while we looked
    return found


def _processes() -> list[str]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes() + b" " + (directory / "environ").read_bytes()
        except OSError:
            continue  # it ended while we looked
        found.append(f"process {directory.name}: {words.replace(bytes(1), b' ').decode(errors='replace')[:4000]}")
    return found


def leftovers(names: Iterable[str]) -> list[str]:
    """Everything on the machine that still carries one of `names`.

    Args:
        names: instance names (engine/settings.py) that are no longer in use.

    Returns:
        One line for each thing found, of at most 200 characters.
    """
    names = [name for name in names if name]
    if not names:
        return []
    seen = [*_links(), *_cgroups(), *_tables(), *_mounts(), *_loops(), *_processes()]
    return [line[:200] for line in seen if any(name in line for name in names)]
