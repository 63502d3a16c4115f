"""Capabilities given up in a real forked child."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from engine.linux import capabilities as caps

pytestmark = pytest.mark.root


def in_child(work: Callable[[], bytes]) -> bytes:
    """Run `work` in a forked child and give back the bytes it returned; an exception becomes its text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, work())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def sets() -> dict[str, int]:
    """The five Cap lines of this process."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return {line[3:6]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}


def test_apply_leaves_exactly_the_sets() -> None:
    """After apply, bounding, permitted and effective are the set asked for; inheritable and ambient are empty."""

    def work() -> bytes:
        caps.apply(caps.DEFAULT, caps.DEFAULT, caps.DEFAULT)
        return repr(sets()).encode()

    wanted = caps.DEFAULT & caps.held()
    assert in_child(work) == repr({"Inh": 0, "Prm": wanted, "Eff": wanted, "Bnd": wanted, "Amb": 0}).encode()


def test_apply_after_setuid_keeps_what_was_given() -> None:
    """The order for another user works: drop, keep, setuid, apply; ambient reaches the exec'd program."""
    bind = caps.mask(["NET_BIND_SERVICE"])

    def work() -> bytes:
        caps.drop_bounding(bind)
        caps.keep_over_setuid()
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        caps.apply(bind, bind, bind, bind, bind)
        return repr(sets()).encode()

    assert in_child(work) == repr(dict.fromkeys(["Inh", "Prm", "Eff", "Bnd", "Amb"], bind)).encode()


def test_dropped_power_is_really_gone() -> None:
    """Without CAP_CHOWN root cannot give a file away."""

    def work() -> bytes:
        left = caps.held() & ~caps.mask(["CHOWN"])
        caps.apply(left, left, left)
        fd = os.memfd_create("x")
        try:
            os.fchown(fd, 12345, 12345)
        except PermissionError:
            return b"refused"
        return b"allowed"

    assert in_child(work) == b"refused"


def test_asking_for_more_than_held_is_refused() -> None:
    """What was given up does not come back."""

    def work() -> bytes:
        caps.apply(0, 0, 0)
        try:
            caps.apply(0, 1, 1)
        except PermissionError as error:
            return str(error).encode()
        return b"allowed"

    assert b"capset" in in_child(work)
