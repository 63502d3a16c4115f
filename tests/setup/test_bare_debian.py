"""The README's first command on a Debian with nothing in it, again without network, and as the demo image runs it."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.setup.debian_root import DebianRoot, Machine, client_environment, make_tarball
from tests.setup.published import published

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SET_UP_S = 420.0
AGAIN_S = 60.0
STOP_S = 60.0
# A subnet and ids of its own: on this machine other engines may run.
APART = {"HAKO_SUBNET": "10.219.0.0/16", "HAKO_ID_BASE": "1900000000"}
# What the launcher says of each thing that it makes.
MADE = re.compile(r"^  (Making|Installing|Building|Created) ", re.MULTILINE)
# A container has its network before its command runs.
CONNECTED = 'until ip route | grep -q default; do sleep 0.05; done; exec "$@"'
# No proxy: the page is on this machine, whatever the environment says of the rest of the world.
ASK = "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5)"

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Not on the list in conftest.py: where CI is set, a missing mmdebstrap is a failure.
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="no mmdebstrap: this is no Debian"),
]


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


def _wait_until_it_answers(machine: Machine, port: int, seconds: float) -> None:
    asked = (sys.executable, "-c", ASK, f"http://127.0.0.1:{port}/healthz")
    deadline = time.monotonic() + seconds
    while not (machine.first and _in_network_of(machine, *asked).returncode == 0):
        assert machine.process.poll() is None, f"./hako up ended:\n{machine.output()[-6000:]}"
        assert time.monotonic() < deadline, f"no answer after {seconds} s:\n{machine.output()[-6000:]}"
        time.sleep(0.5)


def _visit(address: str) -> tuple[str, ...]:
    """A visit to the page. Only the lab's own shell knows the result: the words typed do not contain it."""
    return (sys.executable, str(HERE / "visit.py"), address, "echo $((6 * 7)):$(id -u)", "42:0")


def _start_visit_stop(root: DebianRoot, instance: str, log: Path, *, network: bool) -> Machine:
    """`./hako up` as a person has it: it answers, a lab in it does, and Ctrl-C ends it with status 0."""
    port = _free_port()
    environment = {"HAKO_INSTANCE": instance, **APART, **(client_environment() if network else {})}
    machine = root.start(["/root/hako/hako", "up", "--port", str(port)], environment, log, network=network)
    began = time.monotonic()
    try:
        _wait_until_it_answers(machine, port, SET_UP_S if network else AGAIN_S)
        print(f"network={network}: the page answered after {time.monotonic() - began:.1f} s")
        seen = _in_network_of(machine, *_visit(f"http://127.0.0.1:{port}"))
        assert seen.returncode == 0, f"{seen.stdout}{seen.stderr}\n{machine.output()[-6000:]}"
    finally:
        status = machine.stop(STOP_S)
    assert status == 0, machine.output()[-6000:]
    return machine


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory, module_instance: str) -> Iterator[tuple[DebianRoot, Machine]]:
    """A root that held nothing but Debian's smallest and a clean clone of this commit, after its first `./hako up`."""
    folder = tmp_path_factory.mktemp("debian")
    tarball = folder / "debian.tar"
    make_tarball(tarball, _suite())
    root = DebianRoot.unpack(tarball, folder / "root")
    tarball.unlink()
    root.clone(ROOT, "/root/hako")
    yield root, _start_visit_stop(root, module_instance, folder / "first.log", network=True)
    below = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    assert below == []
    subprocess.run(["rm", "-rf", str(root.path)], check=True, timeout=120)


def test_a_bare_machine_is_set_up(first_start: tuple[DebianRoot, Machine]) -> None:
    """Packages are named before they are installed, everything is made, and the end is said when all has ended."""
    said = first_start[1].output()
    named, installed = said.index("system packages to install: "), said.index("Installing system packages")
    assert named < installed
    assert MADE.findall(said) == ["Installing"] * 2 + MADE.findall(said)[2:]
    assert "Created the system user hako" in said and "Building the page: done" in said
    assert said.rstrip().endswith("Ended.")


def test_it_starts_again_without_network(
    first_start: tuple[DebianRoot, Machine], instance: str, tmp_path: Path
) -> None:
    """With a loopback link and nothing else, `./hako up` makes nothing, a lab answers, and all ends."""
    machine = _start_visit_stop(first_start[0], instance, tmp_path / "again.log", network=False)
    assert not MADE.search(machine.output()), "the second start made something again"


def _demo() -> tuple[dict[str, str], list[str]]:
    """Variables and command of Dockerfile.demo, the command as an absolute one."""
    text = (ROOT / "Dockerfile.demo").read_text()
    variables = dict(line.split("=", 1) for line in re.findall(r"^ENV (.+)$", text, re.MULTILINE))
    command = shlex.split(re.findall(r"^CMD \[(.+)\]$", text, re.MULTILINE)[0].replace(",", " "))
    assert command[0] == "./hako"
    return variables, ["/root/hako/hako", *command[1:]]


def test_the_demo_image_serves_a_published_port(
    first_start: tuple[DebianRoot, Machine], instance: str, tmp_path: Path
) -> None:
    """As in `docker run --privileged -p`: the root is an overlay, and the learner comes from the network's gateway."""
    variables, command = _demo()
    with first_start[0].on_overlay(tmp_path / "overlay") as root:
        shutil.rmtree(root.path / "var/lib/hako")  # the image is set up and was never started
        environment = {"HAKO_INSTANCE": instance, **APART, **variables}
        started = ["sh", "-c", CONNECTED, "sh", *command]
        machine = root.start(started, environment, tmp_path / "demo.log", network=False)
        try:
            with published(machine, port=8000) as page:
                _wait_until_it_answers(machine, 8000, AGAIN_S)
                learner = [*page.enter, *_visit(page.address)]
                seen = subprocess.run(learner, capture_output=True, text=True, timeout=240, cwd=ROOT, check=False)
            assert seen.returncode == 0, f"{seen.stdout}{seen.stderr}\n{machine.output()[-6000:]}"
        finally:
            status = machine.stop(STOP_S)
    assert status == 0, machine.output()[-6000:]
