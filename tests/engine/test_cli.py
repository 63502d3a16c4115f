"""hako run, exec, ps, rm, lab as a person or a script uses them: exit codes, streams, signals, terminals."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.daemons import Machine
from tests.engine.engines import wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def machine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One engine for the module."""
    with Machine(module_instance, tmp_path_factory.mktemp("cli")) as made:
        yield made


@pytest.fixture(autouse=True)
def none_left(machine: Machine) -> Iterator[None]:
    """Each test removes its containers."""
    yield
    ids = machine.hako("ps", "-a", "-q").stdout.split()
    if ids:
        machine.hako("rm", "-f", *(each.decode() for each in ids))


def started(machine: Machine, *words: str, **options: object) -> subprocess.Popen[bytes]:
    """`hako` in the background."""
    command = [sys.executable, "-P", "-m", "engine.cli", *words]
    return subprocess.Popen(command, env=machine.env, **options)  # type: ignore[call-overload, no-any-return]


def test_output_and_errors_come_apart_and_the_status_is_the_commands(machine: Machine) -> None:
    """stdout is stdout, stderr is stderr, 7 is 7."""
    done = machine.hako("run", "--rm", "hako/mini", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run", "--rm", "hako/mini", "no-such-program"], 127, "no such file, or not in $PATH"),
        (["run", "--rm", "hako/mini", "/etc"], 126, "Permission denied"),
        (["run", "--rm", "no-such-image", "true"], 125, "there is no image 'no-such-image'"),
        (["run", "--rm", "--memory", "lots", "hako/mini", "true"], 125, "'lots' is not a size"),
        (["run", "--rm", "--network", "moon", "hako/mini", "true"], 125, "'moon' is not a network"),
        (["run", "--rm", "--name", "../x", "hako/mini", "true"], 125, "is not a container name"),
        (["run", "--rm", "--cap-add", "FLY", "hako/mini", "true"], 125, "FLY"),
        (["run", "--rm", "-v", "x", "hako/mini", "true"], 125, "'x' is not a volume"),
        (["run", "--bogus", "hako/mini"], 125, "--bogus"),
        (["run"], 125, "IMAGE"),
        (["exec", "nobody", "true"], 125, "There is no container 'nobody'"),
        (["rm", "nobody"], 1, "There is no container 'nobody'"),
        (["lab", "shell", "nobody"], 1, "input is none"),
        (["lab", "run", "nobody", "true"], 1, "There is no lab 'nobody'"),
        (["bench", "nothing"], 1, "There is no bench 'nothing'"),
    ],
)
def test_what_goes_wrong_has_dockers_status_and_a_sentence(
    machine: Machine, words: list[str], status: int, said: str
) -> None:
    """125 for the engine, 126 and 127 for the command; never a traceback; nothing is left."""
    done = machine.hako(*words, stdin=subprocess.DEVNULL)
    assert done.returncode == status
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert machine.hako("ps", "-a", "-q").stdout == b""


def test_without_an_engine_it_says_how_to_start_one(tmp_path: Path) -> None:
    """One sentence and what to do."""
    command = [sys.executable, "-P", "-m", "engine.cli", "run", "hako/mini", "true"]
    env = {**os.environ, "HAKO_RUN": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)
    assert done.returncode == 125
    assert b"does not answer" in done.stderr
    assert b"hako up" in done.stderr


def test_options_have_dockers_meaning(machine: Machine) -> None:
    """Hostname, environment, directory, user, read-only root, entrypoint, volume, limits."""
    run = ("run", "--rm")
    assert machine.hako(*run, "-h", "box", "hako/mini", "hostname").stdout == b"box\n"
    assert machine.hako(*run, "-e", "A=1 2", "hako/mini", "sh", "-c", "echo $A").stdout == b"1 2\n"
    assert machine.hako(*run, "-w", "/tmp", "hako/mini", "pwd").stdout == b"/tmp\n"
    assert machine.hako(*run, "-u", "1000:1000", "hako/mini", "id", "-u").stdout == b"1000\n"
    assert machine.hako(*run, "--read-only", "hako/mini", "touch", "/x").returncode != 0
    assert machine.hako(*run, "--entrypoint", "/bin/echo", "hako/mini", "hi").stdout == b"hi\n"
    assert machine.hako(*run, "--pids", "1", "hako/mini", "sh", "-c", "true & wait").returncode != 0
    assert machine.hako(*run, "--network", "none", "hako/mini", "ls", "/sys/class/net").stdout == b"lo\n"


def test_a_volume_shows_a_directory_also_a_relative_one(machine: Machine, tmp_path: Path) -> None:
    """Written inside, seen outside; `:ro` protects; `.` is meant from here."""
    (tmp_path / "in").write_text("hello\n")
    done = machine.hako(
        "run", "--rm", "-v", ".:/data", "hako/mini", "sh", "-c", "cat /data/in > /data/out", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_text() == "hello\n"
    assert machine.hako("run", "--rm", "-v", f"{tmp_path}:/d:ro", "hako/mini", "touch", "/d/x").returncode != 0


def test_stdin_flows_and_ends_and_nothing_is_lost_either_way(machine: Machine) -> None:
    """Eight megabytes through cat come back as they were; without -i stdin is empty."""
    data = os.urandom(8 * 1024 * 1024)
    done = machine.hako("run", "--rm", "-i", "hako/mini", "cat", input=data)
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(data).hexdigest()
    assert machine.hako("run", "--rm", "hako/mini", "cat", input=b"not for it").stdout == b""


def test_a_slow_reader_of_ours_slows_the_program_and_grows_nothing(machine: Machine) -> None:
    """Credit reaches the program: it cannot run ahead of a pipe nobody reads."""
    before = machine.memory()
    with started(machine, "run", "--rm", "hako/mini", "sh", "-c", "yes | head -c 50000000", stdout=-1) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        time.sleep(0.5)  # what would grow had the time to
        assert machine.memory() - before < 4 * 1024 * 1024
        rest = process.stdout.read()
    assert len(first + rest) == 50_000_000
    assert process.returncode == 0


def test_explain_names_each_step_its_page_and_its_time(machine: Machine) -> None:
    """On stderr, so that the output stays the program's."""
    done = machine.hako("run", "--rm", "--explain", "hako/mini", "echo", "hello")
    assert done.stdout == b"hello\n"
    lines = done.stderr.decode().splitlines()
    assert any("pivot_root(2)" in line and "µs" in line for line in lines)
    assert "clone(2)" in done.stderr.decode()
    assert lines[-1].endswith("steps")


def test_detached_listed_entered_and_removed(machine: Machine) -> None:
    """-d prints the id and comes back; ps shows it; exec gets in; rm wants -f while it runs."""
    done = machine.hako("run", "-d", "--name", "sleeper", "hako/mini", "sleep", "1000")
    container = done.stdout.decode().strip()
    assert len(container) == 64
    listed = machine.hako("ps").stdout.decode()
    assert container[:12] in listed
    assert "sleeper" in listed
    assert "Up " in listed
    assert machine.hako("exec", "sleeper", "sh", "-c", "exit 5").returncode == 5
    assert machine.hako("exec", "-i", "sleeper", "cat", input=b"in and out").stdout == b"in and out"
    assert machine.hako("exec", "-e", "A=b", "sleeper", "sh", "-c", "echo $A").stdout == b"b\n"
    assert machine.hako("exec", "sleeper", "no-such").returncode == 127
    assert machine.hako("run", "-d", "--name", "sleeper", "hako/mini", "true").returncode == 125
    refused = machine.hako("rm", "sleeper")
    assert refused.returncode == 1
    assert b"is running" in refused.stderr
    assert machine.hako("rm", "-f", "sleeper").stdout == b"sleeper\n"
    assert machine.hako("ps", "-a", "-q").stdout == b""


def test_one_that_ended_is_kept_without_rm_and_shows_its_status(machine: Machine) -> None:
    """`ps` does not show it, `ps -a` does."""
    machine.hako("run", "--name", "done", "hako/mini", "sh", "-c", "exit 3")
    assert b"done" not in machine.hako("ps").stdout
    assert b"Exited (3)" in machine.hako("ps", "--all").stdout


def test_signals_go_to_the_program_and_its_end_is_ours(machine: Machine) -> None:
    """SIGTERM to us is SIGTERM to it; ended by a signal is 128 + its number."""
    script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    with started(machine, "run", "--rm", "hako/mini", "sh", "-c", script, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"got it\n"
    assert process.returncode == 9
    with started(machine, "run", "--rm", "--name", "victim", "hako/mini", "sleep", "1000") as process:
        wait_for(lambda: b"Up" in machine.hako("ps").stdout)
        machine.hako("rm", "-f", "victim")
        process.wait(10)
    assert process.returncode == 137


def test_a_client_that_is_killed_leaves_the_container_running(machine: Machine) -> None:
    """As with docker: the container is the engine's."""
    with started(machine, "run", "--name", "orphan", "hako/mini", "sleep", "1000") as process:
        wait_for(lambda: b"orphan" in machine.hako("ps").stdout)
        process.kill()
    assert b"Up" in machine.hako("ps").stdout


class Terminal:
    """`hako` on a terminal of its own, as a person has it."""

    def __init__(self, machine: Machine, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.size(30, 90)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = started(machine, *words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        self.seen = b""

    def size(self, rows: int, cols: int) -> None:
        """Another window size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text: str) -> None:
        """Keys."""
        os.write(self.master, text.encode())

    def wait(self, text: str, seconds: float = 15) -> None:
        """Read until this is there."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come; seen: {self.seen[-300:]!r}"
            self.seen += os.read(self.master, 65536)
        self.seen = self.seen[self.seen.index(text.encode()) + len(text.encode()) :]

    def close(self) -> int:
        """Wait for the end; the terminal must be as it was."""
        status = self.process.wait(15)
        assert termios.tcgetattr(self.slave)[3] == self.before[3], "the terminal was left raw"
        os.close(self.slave)
        os.close(self.master)
        return status


def test_a_terminal_works_has_our_size_and_follows_it(machine: Machine) -> None:
    """-it: size at the start, after a resize; Ctrl-C is a key for the program; Ctrl-D ends the shell."""
    terminal = Terminal(machine, "run", "--rm", "-it", "hako/mini", "sh")
    terminal.wait("# ")
    terminal.type("stty size\r")
    terminal.wait("30 90\r\n")
    terminal.size(41, 101)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.type("stty size\r")
    terminal.wait("41 101\r\n")
    terminal.type("sleep 1000\r")
    time.sleep(0.3)  # the shell forks; there is no sign of it on the screen
    terminal.type("\x03")
    terminal.wait("# ")
    terminal.type("echo $((6 * 7)) $TERM\r")
    terminal.wait("42 xterm\r\n")
    terminal.type("exit 6\r")
    assert terminal.close() == 6


def test_exec_gives_a_second_terminal_in_the_same_container(machine: Machine) -> None:
    """-it with exec."""
    machine.hako("run", "-d", "--name", "host", "hako/mini", "sleep", "1000")
    terminal = Terminal(machine, "exec", "-it", "host", "sh")
    terminal.wait("# ")
    terminal.type("tty; stty size\r")
    terminal.wait("/dev/pts/")
    terminal.wait("30 90\r\n")
    terminal.type("exit\r")
    assert terminal.close() == 0


def test_a_terminal_cannot_be_asked_for_without_one(machine: Machine) -> None:
    """-it in a pipe: docker's refusal."""
    done = machine.hako("run", "--rm", "-it", "hako/mini", "true", stdin=subprocess.DEVNULL)
    assert done.returncode == 125
    assert b"terminal was asked for" in done.stderr
    assert machine.hako("ps", "-a", "-q").stdout == b""


def test_labs_from_the_command_line(machine: Machine) -> None:
    """create, list, run, observe, shell (left by Ctrl-], going on), pause, resume, reset, remove."""
    lab = machine.hako("lab", "create", "--hostname", "desk").stdout.decode().strip()
    assert lab in machine.hako("lab", "list").stdout.decode()
    done = machine.hako("lab", "run", lab, "sh", "-c", "hostname; exit 4")
    assert (done.stdout, done.returncode) == (b"desk\n", 4)
    assert b'"namespaces"' in machine.hako("lab", "observe", lab).stdout
    terminal = Terminal(machine, "lab", "shell", lab)
    terminal.wait("# ")
    terminal.type("here=kept\r")
    terminal.wait("# ")
    terminal.type("\x1d")
    assert terminal.close() == 0
    terminal = Terminal(machine, "lab", "shell", lab)
    terminal.wait("# ")
    terminal.type("echo is $here\r")
    terminal.wait("is kept\r\n")
    terminal.type("exit\r")
    assert terminal.close() == 0
    for verb in ("pause", "resume", "reset", "remove"):
        assert machine.hako("lab", verb, lab).stdout.decode().strip() == lab
    assert machine.hako("lab", "list", "-q").stdout == b""


def test_help_is_there_for_every_word(machine: Machine) -> None:
    """And costs no engine."""
    for words in ([], ["up"], ["doctor"], ["run"], ["exec"], ["ps"], ["rm"], ["lab"], ["lab", "create"]):
        done = machine.hako(*words, "--help")
        assert done.returncode == 0, words
        assert b"--help" in done.stdout


def test_run_imports_little() -> None:
    """What makes `hako run` start fast: neither click, nor pydantic, nor asyncio on its way."""
    script = "import sys; import engine.cli, engine.cli_run, engine.cli_attach; print(*sys.modules)"
    path = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, check=True)
    heavy = {"click", "pydantic", "asyncio", "structlog", "subprocess", "json"}
    assert heavy.isdisjoint(done.stdout.decode().split())
