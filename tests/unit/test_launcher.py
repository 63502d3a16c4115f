"""The launcher with a machine of stubs round it: what it says, what it calls, and what it does not call twice.

The real thing, on a bare Debian, is tests/setup/. Here every program that would change the machine is a few lines of
shell in a folder that is the whole PATH, so that each trouble can be made at will.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "sh awk basename cat cp cut date dirname env find flock getent grep kill mkdir readlink rm sed sha256sum sleep "
    "sort tail tr uname xargs"
)

# Plays both the system's Python and the one in .venv; what it is told to do and what it did are files beside it.
PYTHON = """#!/bin/sh
state={state}
case "$*" in
*'version_info'* | *'ensurepip'* | *'import pip'* | *'sysconfig'*) exit 0 ;;
--version) echo "Python 3.12.1" ;;
'-m venv'*) echo venv >>$state/calls; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
*'-m pip'*) echo pip >>$state/calls; [ ! -e $state/pip ] || . $state/pip ;;
*engine.cli*) echo "$$ $*" ;;
*programs.py*) cat $state/packages ;;
esac
"""


class Machine:
    """A checkout with nothing in it but the launcher, on a machine of stubs."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.bin = folder / "bin"
        self.checkout = folder / "hako of mine"
        for made in (self.state, self.bin, self.checkout / "engine" / "images"):
            made.mkdir(parents=True)
        shutil.copy(ROOT / "hako", self.checkout / "hako")
        for lock in ("requirements.lock", "requirements-test.lock", "requirements-build.lock"):
            (self.checkout / lock).write_text(lock)
        (self.checkout / "engine" / "images" / "programs.py").touch()
        (self.state / "packages").write_text("strace\nnftables\n")
        for tool in TOOLS.split():
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.stub("python3", PYTHON.format(state=self.state).removeprefix("#!/bin/sh\n"))
        self.stub("id", "echo 0")
        self.stub("df", "echo header; echo / 9 9 99999 9% /")
        self.stub("dpkg-query", f"cat {self.state}/installed 2>/dev/null")
        self.stub("apt-get", f'echo "apt-get $1" >>{self.state}/calls')
        for tool in ("useradd", "groupadd"):
            self.stub(tool, f"echo {tool} >>{self.state}/calls")

    def stub(self, name: str, script: str) -> None:
        """Puts a program of ours in the place of one of the machine's."""
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts `./hako words…`."""
        environment = {"PATH": str(self.bin), "HAKO_PYTHON": "python3"}
        return subprocess.Popen(
            [str(self.checkout / "hako"), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `./hako words…` to its end."""
        process = self.start(*words)
        output, trouble = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, output, trouble)

    @property
    def calls(self) -> list[str]:
        """What was asked of the machine so far."""
        calls = self.state / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A fresh machine of stubs."""
    return Machine(tmp_path)


def test_the_first_start_makes_everything_and_becomes_the_program(machine: Machine) -> None:
    """Packages, environment and then, under the launcher's own pid so that signals arrive, the command line."""
    process = machine.start("up", "--port", "8001")
    output, trouble = process.communicate(timeout=30)
    assert process.returncode == 0, trouble
    assert output.split() == [str(process.pid), "-P", "-m", "engine.cli", "up", "--port", "8001"]
    assert [call for call in machine.calls if "add" not in call] == ["apt-get update", "apt-get install", "venv", "pip"]


def test_the_second_start_asks_nothing_of_anyone(machine: Machine) -> None:
    """When the packages are there and the stamps fit, neither apt nor pip is called: it works without network."""
    machine.run("up")
    (machine.state / "installed").write_text("installed strace\ninstalled nftables\n")
    (machine.state / "calls").unlink()
    assert machine.run("up").returncode == 0
    assert [call for call in machine.calls if "add" not in call] == []


def test_a_changed_lock_is_installed_and_the_test_lock_serves_both(machine: Machine) -> None:
    """A stamp holds what a lock contains: new contents install once, and `setup` after `test` finds all it needs."""
    machine.run("setup")
    (machine.checkout / "requirements.lock").write_text("other")
    machine.run("setup")
    assert machine.calls.count("pip") == 2
    machine.stub("git", "")
    machine.run("test")
    machine.run("setup")
    assert machine.calls.count("pip") == 3


def test_the_page_is_built_once_for_its_sources(machine: Machine) -> None:
    """Node builds static/dist on the first start and when a source changed, and is not asked otherwise."""
    static = machine.checkout / "static"
    (static / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "src/app.js"):
        (static / name).write_text(name)
    state = machine.state
    machine.stub("npm", f'echo "npm $3" >>{state}/calls; mkdir -p "$2/node_modules" "$2/dist"')
    for _ in range(2):
        assert machine.run("setup").returncode == 0
    assert [call for call in machine.calls if call.startswith("npm")] == ["npm ci", "npm run"]
    (static / "src" / "app.js").write_text("other")
    machine.run("setup")
    machine.run("setup")
    assert [call for call in machine.calls if call.startswith("npm")] == ["npm ci", "npm run", "npm run"]


def test_packages_are_named_before_they_are_installed(machine: Machine) -> None:
    """Whoever looks at the screen reads the names while nothing has been done yet."""
    machine.stub("apt-get", "sleep 60")
    process = machine.start("up")
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "hako: system packages to install: strace nftables \n"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _no_root(machine: Machine) -> None:
    machine.stub("id", 'if [ "$1" = -un ]; then echo ann; else echo 1000; fi')


def _no_sudo_rights(machine: Machine) -> None:
    _no_root(machine)
    machine.stub("sudo", "exit 1")


def _old_python(machine: Machine) -> None:
    machine.stub("python3", '[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1')


def _no_network(machine: Machine) -> None:
    (machine.state / "pip").write_text("echo '<urlopen error [Errno -3] Temporary failure in name resolution>'; exit 1")


def _full_disk(machine: Machine) -> None:
    (machine.state / "pip").write_text("echo 'OSError: [Errno 28] No space left on device'; exit 1")


def _nearly_full_disk(machine: Machine) -> None:
    machine.stub("df", "echo header; echo / 9 9 120 99% /")


def _another_system(machine: Machine) -> None:
    machine.stub("uname", "echo Darwin")


@pytest.mark.parametrize(
    ("trouble", "sentence", "advice"),
    [
        (_no_root, "needs root, and this machine has no sudo", "Become root"),
        (_no_sudo_rights, "needs root, and sudo did not allow it", "Ask for sudo rights"),
        (_old_python, "needs Python 3.11 or newer; this machine has Python 3.9.2", "HAKO_PYTHON="),
        (_no_network, "cannot reach the package servers", "The first run needs the network"),
        (_full_disk, "the disk is full", "Free about 2 GB"),
        (_nearly_full_disk, "nearly full: 120 MB free, 700 MB needed", "Free some space"),
        (_another_system, "this machine runs Darwin", "Dockerfile.demo"),
    ],
)
def test_trouble_is_one_sentence_and_what_to_do(
    machine: Machine, trouble: Callable[[Machine], None], sentence: str, advice: str
) -> None:
    """The last two lines on the screen say what is wrong and what to do; the program is not started."""
    trouble(machine)
    done = machine.run("up")
    wrong, cure = done.stderr.splitlines()[-2:]
    assert (done.returncode, done.stdout) == (1, "")
    assert wrong.startswith("hako: ") and sentence in wrong
    assert advice in cure


def test_what_failed_is_done_again(machine: Machine) -> None:
    """After a failure there is no stamp, so the next start goes on with the step that failed."""
    _no_network(machine)
    machine.run("up")
    (machine.state / "pip").unlink()
    assert machine.run("up").returncode == 0
    assert machine.calls.count("pip") == 2


def test_ctrl_c_during_set_up_ends_it_at_once(machine: Machine) -> None:
    """SIGINT to the terminal's processes ends the step and the launcher, and says how to go on."""
    (machine.state / "pip").write_text(f"echo $$ >{machine.state}/pid; exec sleep 60")
    process = machine.start("up")
    deadline = time.monotonic() + 20
    while not (machine.state / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, trouble = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Run it again to go on from here" in trouble
    assert not Path(f"/proc/{(machine.state / 'pid').read_text().strip()}").exists()


def test_two_starts_at_once_wait_for_one_another(machine: Machine) -> None:
    """The second one says that it waits, and finds everything ready when the first is through."""
    (machine.state / "pip").write_text(
        f": >{machine.state}/started; while [ -e {machine.state}/hold ]; do sleep 0.05; done"
    )
    (machine.state / "hold").touch()
    first = machine.start("setup")
    deadline = time.monotonic() + 20
    while not (machine.state / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    second = machine.start("setup")
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    (machine.state / "hold").unlink()
    for process in (first, second):
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert machine.calls.count("pip") == 1


def test_a_word_that_is_none_of_ours_is_refused(machine: Machine) -> None:
    """An unknown command shows the usage and sets nothing up."""
    done = machine.run("upp")
    assert done.returncode == 1
    assert 'there is no command "upp"' in done.stderr and "usage: ./hako COMMAND" in done.stderr
    assert machine.calls == []
