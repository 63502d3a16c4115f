"""Seccomp profiles as data."""

from __future__ import annotations

import pytest

from engine.errors import BadInput
from engine.linux import capabilities, seccomp
from engine.linux.seccomp_profile import ALWAYS, LAB_NEVER, profile


def names(profile_name: str, caps: int) -> set[str]:
    """Names with an unconditional allow rule."""
    rules = profile(profile_name, caps, "x86_64").rules
    return {rule.name for rule in rules if not rule.when and rule.errno is None}


@pytest.mark.parametrize(
    "call",
    [
        "mount",
        "unshare",
        "setns",
        "pivot_root",
        "bpf",
        "kexec_load",
        "io_uring_setup",
        "userfaultfd",
        "keyctl",
        "swapon",
    ],
)
def test_default_never_allows(call: str) -> None:
    """Calls Docker withholds from an ordinary container."""
    assert call not in names("default", capabilities.DEFAULT)


@pytest.mark.parametrize(
    "call",
    [
        "kexec_load",
        "init_module",
        "open_by_handle_at",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "swapon",
    ],
)
def test_lab_never_allows_even_with_every_capability(call: str) -> None:
    """Holding the capability does not open these to a lab."""
    assert call not in names("lab", capabilities.ALL)


@pytest.mark.parametrize(
    "call", ["mount", "umount2", "pivot_root", "setns", "unshare", "clone3", "keyctl", "fsopen", "chroot"]
)
def test_lab_allows_what_lessons_type(call: str) -> None:
    """The calls of unshare, nsenter, mount, chroot, pivot_root and an inner engine."""
    assert call in names("lab", capabilities.LAB)


def test_capability_brings_its_calls() -> None:
    """chroot comes with SYS_CHROOT and goes with it."""
    assert "chroot" in names("default", capabilities.mask(["SYS_CHROOT"]))
    assert "chroot" not in names("default", 0)


def test_compat_programs_stay_out_of_labs() -> None:
    """A 32-bit program's socketcall could not be looked into."""
    assert not profile("lab", capabilities.LAB, "x86_64").compat
    assert "socketcall" not in names("lab", capabilities.LAB)


def test_socketcall_makes_no_socket() -> None:
    """A 32-bit program of a container cannot get by it what socket(2) refuses: AF_ALG (CVE-2026-31431)."""
    rules = [rule for rule in profile("default", capabilities.DEFAULT, "x86_64").rules if rule.name == "socketcall"]
    assert {rule.when[0].value for rule in rules} == set(range(2, 21))
    assert all(rule.when[0].arg == 0 and rule.errno is None for rule in rules)


def test_no_name_is_listed_twice_nor_allowed_and_forbidden() -> None:
    """Two rules for one call would hide a mistake."""
    assert len(set(ALWAYS)) == len(ALWAYS)
    assert not LAB_NEVER & names("lab", capabilities.ALL)


def test_unknown_profile_is_refused() -> None:
    """With the names there are."""
    with pytest.raises(BadInput, match="lab"):
        seccomp.compile_profile("docker", 0)
