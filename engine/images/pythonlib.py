"""The Python that goes into `hako/lab`: which interpreter of the machine, and which parts of its standard library.

/usr/bin/python3 is preferred (72 MB of image against 103 MB with a version manager's). A Python below somebody's home
is relocated to /usr: an interpreter finds its library relative to itself (sys.prefix; Python docs, "site").
Site-packages never come along: they are the machine's owner's business and were 941 MB where it was measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

OLDEST = (3, 11)
_TIMEOUT_S = 20.0
_ASK = (
    "import json,os,sys,sysconfig as s;print(json.dumps([list(sys.version_info[:2]),os.path.realpath(sys.executable),"
    "os.path.realpath(sys.base_prefix),s.get_path('stdlib'),s.get_path('platstdlib'),s.get_path('purelib')]))"
)

# Large, or of no use without a screen, a compiler or a package index.
_LEAVE_OUT = """
__phello__ config ctypes_test dist-packages distutils ensurepip idlelib lib2to3 msilib pydoc_data site-packages
sitecustomize.py sqlite3 test tests tkinter turtle.py turtledemo venv
"""
LEAVE_OUT = frozenset(_LEAVE_OUT.split())
_NO_MODULES = ("_sqlite3", "_tkinter", "_test", "_xx", "xxlimited", "_dbm", "_gdbm", "_ctypes_test", "_crypt", "nis")


@dataclass(frozen=True)
class Python:
    """An interpreter of the machine.

    Args:
        version: (3, 12)
        executable: its real path.
        prefix: what to relocate from.
        libraries: folders of the standard library.
        packages: where its site looks for `.pth` files.
    """

    version: tuple[int, int]
    executable: str
    prefix: str
    libraries: tuple[str, ...]
    packages: str

    @property
    def relocate(self) -> dict[str, str]:
        """For RootFs: nothing to do for a Python of the system."""
        return {} if self.prefix == "/usr" else {self.prefix: "/usr"}


def find() -> Python | None:
    """The machine's own Python if it is recent enough, else the one that runs the engine; None if it cannot tell."""
    for candidate in ("/usr/bin/python3", sys.executable):
        found = _ask(candidate)
        if found is not None and found.version >= OLDEST:
            return found
    return None


def leave_out(folder: str) -> frozenset[str]:
    """The names to leave out of one folder of the standard library: LEAVE_OUT and what has no use without it."""
    names = set(LEAVE_OUT)
    for place, _, files in os.walk(folder):
        names.update(name for name in files if name.endswith((".opt-1.pyc", ".opt-2.pyc", ".a", ".exe")))
        if place.endswith("lib-dynload"):
            names.update(name for name in files if name.startswith(_NO_MODULES))
    names.update(name for name in os.listdir(folder) if name.startswith("config-"))
    return frozenset(names)


def _ask(executable: str) -> Python | None:
    """Ask an interpreter about itself; isolated, so that neither environment nor site-packages have a say."""
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _ASK], env={}, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version, path, prefix, stdlib, platstdlib, packages = json.loads(done.stdout)
    folders = tuple(sorted({os.path.realpath(stdlib), os.path.realpath(platstdlib)}))
    return Python((version[0], version[1]), path, prefix, folders, packages)
