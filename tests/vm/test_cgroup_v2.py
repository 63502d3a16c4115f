"""The engine's tests again where the machine has cgroup v2 and nothing else, on Debian's own kernel.

The usual test machine is a hybrid with v1's controllers; most people's machines are not. A guest under QEMU boots
Debian's cloud kernel with `cgroup_no_v1=all` and runs the tests below; here each file of them is one test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm import guest_root, machine

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1800)]

#: Every processor instruction is emulated: what needs no kernel is left to the machine's own run, and what takes long
#: (daemons killed twenty times) too.
FILES = (
    "tests/vm/under_systemd.py",
    "tests/unit/test_cgroups.py",
    "tests/engine/test_cgroups_kernel.py",
    "tests/engine/test_mounts_copy.py",
    "tests/engine/test_union_overlay.py",
    "tests/engine/test_union_contract.py",
    "tests/engine/test_disk_backing.py",
    "tests/engine/test_disk_labs.py",
    "tests/engine/test_container.py",
    "tests/engine/test_lab.py",
    "tests/engine/test_lab_root.py",
    "tests/engine/test_escapes.py",
    "tests/engine/test_observe_lab.py",
    "tests/engine/test_predicates_lab.py",
    "tests/engine/test_doctor_kernel.py",
    "tests/engine/test_inner_engine.py",
    "tests/lessons/test_every_lesson.py",
)
#: It measures speed.
LEFT_OUT = ("tests/engine/test_observe_lab.py::test_fifty_processes_take_six_milliseconds",)
GUEST_S = 1500.0


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[machine.Run]:
    """One boot for all tests of this module."""
    folder = tmp_path_factory.mktemp("guest")
    yield machine.run_files(guest_root.ensure(), folder, FILES, LEFT_OUT, GUEST_S)


def test_guest_comes_to_its_end(guest: machine.Run) -> None:
    """It boots, pytest runs to its end within the deadline and is content."""
    assert guest.status == 0, f"{guest.failures()}\n\nthe guest's console:\n{guest.console[-6000:]}"


@pytest.mark.parametrize("file", FILES)
def test_passes_on_v2_alone(guest: machine.Run, file: str) -> None:
    """Each of the file's tests passes there, and some do run."""
    outcomes = [each for each in guest.outcomes if each.file == file]
    print(*(f"{each.outcome} {each.seconds:6.2f} s  {each.test}" for each in outcomes), sep="\n")
    assert not guest.failures(file), guest.failures(file)
    assert any(each.outcome == "passed" for each in outcomes), f"no test of {file} ran\n{guest.console[-3000:]}"
