"""The engine's tests on the oldest kernel it is for, Linux 5.10, as far as Debian's sources still have it.

Labs need 5.19 (overlay on id-mapped layers, docs/architecture.md); `hako run` and all below it must work. What an old
kernel lacks (the mount API's newest flags, cgroup.kill, pidfd extras) has its second way in engine/linux, and only
here is that way taken.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm import guest_root, machine

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

FILES = (
    "tests/unit/test_cgroups.py",
    "tests/engine/test_cgroups_kernel.py",
    "tests/engine/test_mounts_copy.py",
    "tests/engine/test_union_overlay.py",
    "tests/engine/test_union_contract.py",
    "tests/engine/test_container.py",
    "tests/engine/test_doctor_kernel.py",
)
#: What labs stand on: overlay's `userxattr` is of Linux 5.11, id-mapped layers are of 5.19.
LEFT_OUT = (
    "tests/engine/test_union_overlay.py::test_layers_and_upper_may_be_given_as_fds",
    "tests/engine/test_union_overlay.py::test_one_layer_serves_root_and_lab",
    "tests/engine/test_doctor_kernel.py::test_this_machine_is_well_enough",
)
GUEST_S = 480.0


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[machine.Run]:
    """One boot for all tests of this module."""
    folder = tmp_path_factory.mktemp("guest")
    yield machine.run_files(guest_root.ensure("oldest"), folder, FILES, LEFT_OUT, GUEST_S)


def test_guest_comes_to_its_end(guest: machine.Run) -> None:
    """It boots, pytest runs to its end within the deadline and is content."""
    print(guest.console[-300:])
    assert guest.status == 0, f"{guest.failures()}\n\nthe guest's console:\n{guest.console[-6000:]}"


@pytest.mark.parametrize("file", FILES)
def test_passes_on_the_oldest_kernel(guest: machine.Run, file: str) -> None:
    """Each of the file's tests passes there, and some do run."""
    outcomes = [each for each in guest.outcomes if each.file == file]
    assert not guest.failures(file), guest.failures(file)
    assert any(each.outcome == "passed" for each in outcomes), f"no test of {file} ran\n{guest.console[-3000:]}"
