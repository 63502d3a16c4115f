"""The table of programs behind `hako/lab`, which the launcher reads before anything is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.images import programs

SCRIPT = Path(programs.__file__)


def test_every_needed_program_has_a_package() -> None:
    """A machine that lacks a needed program can be told which package brings it."""
    without = [name for name in programs.NEEDED if programs.package_of(name) is None]
    assert without == []


@pytest.mark.parametrize("family", ["debian", "fedora"])
def test_runs_without_a_virtual_environment(family: str) -> None:
    """The launcher's call: isolated, no site-packages, one package name a line, nothing else."""
    done = subprocess.run([sys.executable, "-I", "-S", str(SCRIPT), family], capture_output=True, text=True, check=True)
    names = done.stdout.split("\n")[:-1]
    assert names == programs.packages(family)
    assert {"bash", "nftables", "catatonit", "e2fsprogs"} <= set(names)
    assert all(name and " " not in name for name in names)


def test_missing_leaves_out_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--missing` a package is named only when nothing of it is there; optional ones are never named."""
    monkeypatch.setattr(programs, "find", lambda name: None if name in ("strace", "tree") else f"/usr/bin/{name}")
    names = programs.packages("debian", missing=True)
    assert "strace" in names
    assert "tree" not in names
    assert "bash" not in names


def test_unknown_family_is_refused() -> None:
    """A word it does not know: exit status 2 and a line of usage; from Python a ValueError."""
    done = subprocess.run([sys.executable, str(SCRIPT), "plan9"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage" in done.stderr
    with pytest.raises(ValueError, match="plan9"):
        programs.packages("plan9")
