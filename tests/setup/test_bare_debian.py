"""The README's first command on a Debian with nothing in it, and again with its network cut off."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.setup.debian_root import DebianRoot, Machine, client_environment, make_tarball

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SET_UP_S = 420.0
AGAIN_S = 60.0
STOP_S = 60.0
# What the launcher says of each thing that it makes.
MADE = re.compile(r"^  (Making|Installing|Building|Created) ", re.MULTILINE)
# No proxy: the page is on this machine, whatever the environment says of the rest of the world.
ASK = "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5)"

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]


def _suite() -> str:
    """The release whose packages the machine's own sources have: /etc/os-release says its name."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"].strip('"')


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _in_network_of(machine: Machine, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of ours where the machine's 127.0.0.1 is."""
    enter = ["nsenter", f"--net=/proc/{machine.first}/ns/net", *command]
    return subprocess.run(enter, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)


def _healthy(machine: Machine, port: int) -> bool:
    asked = (sys.executable, "-c", ASK, f"http://127.0.0.1:{port}/healthz")
    return bool(machine.first) and _in_network_of(machine, *asked).returncode == 0


def _wait_until_it_answers(machine: Machine, port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _healthy(machine, port):
        assert machine.process.poll() is None, f"./hako up ended:\n{machine.output()[-6000:]}"
        assert time.monotonic() < deadline, f"no answer after {seconds} s:\n{machine.output()[-6000:]}"
        time.sleep(0.5)


def _mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(path) in line]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRoot]:
    """A root with a clean clone of this commit in /root/hako and nothing else that Debian's smallest does not have."""
    folder = tmp_path_factory.mktemp("debian")
    tarball = folder / "debian.tar"
    make_tarball(tarball, _suite())
    root = DebianRoot.unpack(tarball, folder / "root")
    tarball.unlink()
    root.clone(ROOT, "/root/hako")
    yield root
    assert _mounts_below(root.path) == []
    subprocess.run(["rm", "-rf", str(root.path)], check=True, timeout=120)


def test_two_starts_on_a_bare_machine(bare: DebianRoot, instance: str, tmp_path: Path) -> None:
    """`./hako up` sets a bare machine up, a lab answers; cut off from the network it does so again, and each time
    Ctrl-C ends everything: no process, no mount, and the program's own status 0."""
    port = _free_port()
    # A subnet and ids of its own: on this machine other engines may run.
    own = {"HAKO_INSTANCE": instance, "HAKO_SUBNET": "10.219.0.0/16", "HAKO_ID_BASE": "1900000000"}
    command = ["/root/hako/hako", "up", "--port", str(port)]
    for network, seconds in ((True, SET_UP_S), (False, AGAIN_S)):
        extra = client_environment() if network else {}
        log = tmp_path / f"network-{network}.log"
        began = time.monotonic()
        machine = bare.start(command, {**own, **extra}, log, network=network)
        try:
            _wait_until_it_answers(machine, port, seconds)
            print(f"network={network}: the page answered after {time.monotonic() - began:.1f} s")
            # Only the lab's own shell knows the result: the word typed does not contain it.
            visit = (str(HERE / "visit.py"), f"http://127.0.0.1:{port}", "echo $((6 * 7)):$(id -u)", "42:0")
            seen = _in_network_of(machine, sys.executable, *visit)
            assert seen.returncode == 0, f"{seen.stdout}{seen.stderr}\n{machine.output()[-6000:]}"
        finally:
            status = machine.stop(STOP_S)
        assert status == 0, machine.output()[-6000:]
        assert "Ended." in machine.output()
        if not network:
            assert not MADE.search(machine.output()), "the second start made something again"
