"""hako logs, stop, start on the machine: what a container said, how it ends, that it can begin again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.engine.daemons import Machine
from tests.engine.engines import wait_for

pytestmark = pytest.mark.root

TALKER = "trap 'echo bye; exit 3' TERM; echo hello; echo oops >&2; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def machine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One engine for the module."""
    with Machine(module_instance, tmp_path_factory.mktemp("life")) as made:
        yield made


@pytest.fixture(autouse=True)
def talker(machine: Machine) -> Iterator[None]:
    """A container that says hello and, on TERM, bye; removed at the end."""
    assert machine.hako("run", "-d", "--name", "talker", "hako/mini", "sh", "-c", TALKER).returncode == 0
    wait_for(lambda: machine.hako("logs", "talker").stderr == b"oops\n")
    yield
    machine.hako("rm", "-f", "talker")


def test_logs_are_there_while_it_runs_and_afterwards(machine: Machine) -> None:
    """Each output to ours; after its end from the files beside its record."""
    assert machine.hako("logs", "talker").stdout == b"hello\n"
    assert machine.hako("stop", "talker").stdout == b"talker\n"
    done = machine.hako("logs", "--follow", "talker")
    assert (done.stdout, done.stderr) == (b"hello\nbye\n", b"oops\n")
    assert b"Exited (3)" in machine.hako("ps", "-a").stdout


def test_start_runs_it_again_with_its_files(machine: Machine) -> None:
    """What it wrote is still there, its logs begin anew; starting one that runs is no error."""
    machine.hako("exec", "talker", "touch", "/kept")
    machine.hako("stop", "talker")
    assert machine.hako("start", "talker", "talker").stdout == b"talker\ntalker\n"
    assert machine.hako("exec", "talker", "ls", "/kept").stdout == b"/kept\n"
    wait_for(lambda: machine.hako("logs", "talker").stdout == b"hello\n")


def test_start_attached_gives_output_and_status(machine: Machine) -> None:
    """-a stays with it to its end, as `docker start -a`."""
    machine.hako("run", "--name", "short", "hako/mini", "sh", "-c", "echo here; exit 5")
    done = machine.hako("start", "-a", "short")
    machine.hako("rm", "short")
    assert (done.stdout, done.returncode) == (b"here\n", 5)


def test_stop_kills_what_does_not_end(machine: Machine) -> None:
    """A first process without a handler does not hear TERM; after -t seconds comes KILL. One that ended is left."""
    machine.hako("run", "-d", "--name", "deaf", "hako/mini", "sleep", "1000")
    begun = time.monotonic()
    assert machine.hako("stop", "-t", "1", "deaf").returncode == 0
    assert time.monotonic() - begun >= 1
    assert b"Exited (137)" in machine.hako("ps", "-a").stdout
    assert machine.hako("stop", "deaf").returncode == 0
    machine.hako("rm", "deaf")


@pytest.mark.parametrize("words", [("logs", "nobody"), ("stop", "nobody"), ("start", "nobody")])
def test_who_is_not_there_is_said(machine: Machine, words: tuple[str, ...]) -> None:
    """A sentence with the name, status 1."""
    done = machine.hako(*words)
    assert (done.returncode, b"nobody" in done.stderr) == (1, True)


def test_a_wrong_signal_is_said(machine: Machine) -> None:
    """Names and numbers are taken; anything else is told apart."""
    assert b"'LOUD' is not a signal" in machine.hako("stop", "-s", "LOUD", "talker").stderr
    assert machine.hako("stop", "-s", "sigkill", "talker").returncode == 0
