"""The lock files hold what pyproject.toml asks for, with hashes, and say nothing of where it was fetched."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = PROJECT["project"]["dependencies"]
TEST = PROJECT["project"]["optional-dependencies"]["test"]
BUILD = PROJECT["dependency-groups"]["build"]
LOCKS = {"requirements.lock": RUN, "requirements-test.lock": RUN + TEST, "requirements-build.lock": BUILD}


def _locked(name: str) -> dict[str, str]:
    """Package -> version of one lock."""
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / name).read_text(), re.M))


@pytest.mark.parametrize(("name", "asked"), LOCKS.items(), ids=list(LOCKS))
def test_every_requirement_is_locked(name: str, asked: list[str]) -> None:
    """Each requirement has a locked version that satisfies it: a change of pyproject.toml alone would do nothing."""
    locked = _locked(name)
    wrong = [
        text
        for text in asked
        for wanted in [Requirement(text)]
        if not wanted.specifier.contains(locked.get(canonicalize_name(wanted.name), "0"), prereleases=True)
        or canonicalize_name(wanted.name) not in locked
    ]
    assert not wrong


def test_the_test_lock_holds_the_same_versions_and_more() -> None:
    """The launcher takes an environment made for the tests for one that can run Hako, too."""
    run, test = _locked("requirements.lock"), _locked("requirements-test.lock")
    assert {name: test.get(name) for name in run} == run


@pytest.mark.parametrize("name", LOCKS)
def test_locks_have_hashes_and_name_no_place(name: str) -> None:
    """Every package has a hash, and no line holds an address."""
    text = (ROOT / name).read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert entries and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text and not re.search(r"^\s*--(index|extra|find)", text, re.M)
