"""The engine in a lab as the whole engine has it: seen as boxes in the box, found after a restart, nearly as fast."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from statistics import median

import pytest

from engine.client import EngineClient
from tests.engine.daemons import Machine, timed

pytestmark = pytest.mark.root

RUN = ("run", "--rm", "hako/mini", "true")
#: What the issue asks for: a start in a lab takes at most twice what it takes on the machine.
RATIO_MAX = 2.0
#: Times a container's start in a lab, in seconds, one a line; by bash, so that only `hako` itself is in it.
TIMER = f"TIMEFORMAT=%R; time hako {' '.join(RUN)}"


@pytest.fixture(scope="module")
def machine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One engine for the module."""
    with Machine(module_instance, tmp_path_factory.mktemp("inner")) as made:
        yield made


@pytest.fixture
def client(machine: Machine) -> Iterator[EngineClient]:
    """A client of lab.sock."""
    with machine.client() as made:
        yield made


@pytest.fixture
def lab(client: EngineClient) -> Iterator[str]:
    """A lab, by its id."""
    made = client.lab_create("tests", {}).id
    yield made
    client.lab_remove(made)


def sh(client: EngineClient, lab: str, script: str) -> str:
    """What a script in the lab says; it must end well."""
    done = client.lab_script(lab, f"set -e; {script}", timeout_s=25)
    assert done.status == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def test_a_nested_container_is_seen_as_a_box_in_the_box(client: EngineClient, lab: str) -> None:
    """Its process has namespaces below the lab's, its own pid 1, a group below the learner's; its mounts are there."""
    name = sh(client, lab, "hako run -d -h box hako/mini sleep 4711").strip()
    seen = client.observe_snapshot(lab)
    (sleep,) = [each for each in seen["processes"] if each["argv"] == ["sleep", "4711"]]
    assert sleep["nspid"][-1] == 1
    assert len(sleep["nspid"]) == 2
    assert sleep["cgroup"].endswith(f"/hako/containers/{name}")
    spaces = {each["inode"]: each for each in seen["namespaces"]}
    assert spaces[sleep["ns"]["uts"]]["hostname"] == "box"
    lab_user = next(each for each in seen["processes"] if each["nspid"] == [1])["ns"]["user"]
    for kind in ("pid", "mnt", "net", "uts", "ipc", "cgroup"):
        assert not spaces[sleep["ns"][kind]]["of_lab"]
        assert spaces[sleep["ns"][kind]]["owner"] == lab_user
    root = next(each for each in seen["mounts"][str(sleep["ns"]["mnt"])] if each["target"] == "/")
    assert root["type"] == "overlay"
    assert "/var/lib/lab/hako/containers/" in json.dumps(root)
    ends = seen["links"][str(sleep["ns"]["net"])]
    assert {"lo", "eth0"} == {each["name"] for each in ends}


def test_an_engine_in_a_lab_goes_on_though_the_machines_is_killed(
    machine: Machine, client: EngineClient, lab: str
) -> None:
    """The new daemon knows the lab's engine, and watches the socket again when that has ended."""
    sh(client, lab, "hako run -d --name kept hako/mini sleep 1000")
    machine.restart(signal.SIGKILL)
    assert "kept" in sh(client, lab, "hako ps")
    sh(client, lab, "pkill -9 -f '[d]aemon_inner'")
    assert "kept" in sh(client, lab, "hako ps")
    sh(client, lab, "hako rm -f kept")


def test_a_learner_who_breaks_it_breaks_only_his_own(client: EngineClient, lab: str) -> None:
    """The socket shut down, deleted, the engine's files spoilt: the machine's engine goes on, `reset` mends the lab."""
    script = """
import ctypes, os, socket
sock = socket.socket(socket.AF_UNIX); sock.connect("/run/hako/engine.sock"); sock.send(b"\\xff" * 100); sock.close()
"""
    sh(client, lab, f"hako images; python3 -c '{script}'")
    spoil = "umount -l /run/hako/layers/*/fs; rm -rf /var/lib/lab/hako/* /run/hako/layers; pkill -9 -f [d]aemon"
    client.lab_script(lab, spoil, timeout_s=20)
    client.lab_script(lab, "timeout 5 hako images; rm -f /run/hako/engine.sock", timeout_s=20)
    done = client.lab_script(lab, "hako images", timeout_s=20)
    assert done.status != 0
    client.lab_reset(lab)
    assert "hako/mini" in sh(client, lab, "hako images")


@pytest.mark.slow
def test_a_start_in_a_lab_takes_at_most_twice_as_long(machine: Machine, client: EngineClient, lab: str) -> None:
    """`hako run` from the shell to its end, both engines warm, taken in turns so that both meet the same load."""
    sh(client, lab, TIMER)
    machine.hako(*RUN)
    inside, outside = [], []
    for _ in range(12):
        inside.append(float(sh(client, lab, TIMER).split()[-1]))
        outside.append(timed(lambda: machine.hako(*RUN)))
    ratio = median(inside) / median(outside)
    print(f"in a lab {median(inside) * 1000:.0f} ms, on the machine {median(outside) * 1000:.0f} ms: {ratio:.2f}")
    assert ratio <= RATIO_MAX


@pytest.mark.slow
def test_a_cold_start_takes_less_than_a_second(client: EngineClient) -> None:
    """The first `hako run` in a lab that has just been made, to its end; the best of three."""
    best = min(_cold(client) for _ in range(3))
    print(f"cold: {best * 1000:.0f} ms")
    assert best < 1.0 * slowness()


def slowness() -> float:
    """How many times slower this machine is now than when nothing else runs: others' work runs beside ours."""
    begun = time.monotonic()
    sum(number * number for number in range(1_000_000))
    return max(1.0, (time.monotonic() - begun) / 0.06)


def _cold(client: EngineClient) -> float:
    lab = client.lab_create("tests", {}).id
    begun = time.monotonic()
    sh(client, lab, f"hako {' '.join(RUN)}")
    took = time.monotonic() - begun
    client.lab_remove(lab)
    return took
