"""Containers on the real kernel: what `hako run` promises, and what a hostile image cannot do."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from engine.errors import BadInput, Conflict, Failed, NotFound
from engine.runtime import spec
from engine.runtime.process import StepFailed
from engine.runtime.spec import RunSpec
from tests.engine.engines import Engine, open_fds, wait_for

pytestmark = pytest.mark.root


def test_output_and_exit_code(engine: Engine) -> None:
    """What a program prints and how it ends come back."""
    assert engine.output("sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\nerr\n")


def test_signal_is_128_and_more(engine: Engine) -> None:
    """A program killed by a signal ends with 128 plus its number, as in a shell."""
    container = engine.container("sleep", "1000")
    engine.containers.signal(container, 9)
    assert engine.run(engine.ended(container)) == 137


def test_pid_one_in_its_own_world(engine: Engine) -> None:
    """Its first process is number 1, with a hostname and process list of its own."""
    code, text = engine.output("sh", "-c", "echo $$; hostname; ps | wc -l", hostname="box")
    pid, name, lines = text.split()
    assert (code, pid, name) == (0, "1", "box")
    assert int(lines) <= 5


def test_namespaces_differ_from_the_machines(engine: Engine) -> None:
    """Six namespaces are its own; user and time are the machine's, as with Docker."""
    _, text = engine.output("sh", "-c", "ls -l /proc/self/ns")
    seen = dict(re.findall(r"(\w+):\[(\d+)\]", text))
    same = {kind for kind, inode in seen.items() if os.readlink(f"/proc/self/ns/{kind}") == f"{kind}:[{inode}]"}
    assert same == {"user", "time"}


def test_privileges_are_dockers(engine: Engine) -> None:
    """Fourteen capabilities, a seccomp filter, nothing inheritable or ambient."""
    _, text = engine.output("cat", "/proc/self/status")
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[name], 16) == 0xA80425FB
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert status["Seccomp"] == "2"


def test_user_has_no_capabilities(engine: Engine) -> None:
    """A user other than root holds none, and its groups are those asked for."""
    _, text = engine.output("sh", "-c", "id -u; id -g; grep CapEff /proc/self/status", user="1234:5678")
    assert text.split() == ["1234", "5678", "CapEff:", "0000000000000000"]


def test_unknown_user_is_an_error(engine: Engine) -> None:
    """A name that the image does not know fails the start."""
    with pytest.raises(StepFailed, match="unable to find user nobody-here"):
        engine.container("true", user="nobody-here")


def test_masked_and_readonly_paths(engine: Engine) -> None:
    """What tells of the machine is empty; what changes it cannot be written."""
    script = "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic"
    code, text = engine.output("sh", "-c", script)
    assert text.split()[:2] == ["0", "0"]
    assert code != 0
    assert "Read-only" in text


def test_no_descriptor_leaks(engine: Engine) -> None:
    """The program gets its three descriptors and no other (CVE-2024-21626)."""
    _, text = engine.output("sh", "-c", "ls /proc/self/fd")
    assert text.split() == ["0", "1", "2", "3"]  # 3 is ls's own, on the directory


def test_environment(engine: Engine) -> None:
    """Docker's variables, the image's and the person's, and none of the engine's."""
    _, text = engine.output("env", env=("COLOUR=red", "EMPTY=", "INHERITED"), hostname="box")
    seen = dict(line.split("=", 1) for line in text.splitlines())
    assert seen["COLOUR"] == "red"
    assert seen["EMPTY"] == ""
    assert seen["HOSTNAME"] == "box"
    assert set(seen) <= {"PATH", "HOSTNAME", "HOME", "COLOUR", "EMPTY", "LANG", "SHLVL", "PWD"}


def test_memory_limit_kills(engine: Engine) -> None:
    """A program that takes more than --memory is killed, and 137 says so."""
    script = "x=a; while :; do x=$x$x; done"
    code, _ = engine.output("sh", "-c", script, memory_bytes=16 * 2**20)
    assert code in (137, 2)  # the shell itself, or its failed allocation
    if code == 2:
        pytest.fail("the limit was not felt")


def test_pids_limit(engine: Engine) -> None:
    """--pids bounds how many processes there are."""
    code, text = engine.output("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done", pids=4)
    assert code != 0
    assert "fork" in text


def test_read_only_root(engine: Engine) -> None:
    """--read-only refuses writes to the image but not to /dev/shm."""
    code, text = engine.output("sh", "-c", "echo x > /dev/shm/x && echo y > /x", readonly=True)
    assert code == 1
    assert "Read-only file system" in text


@pytest.mark.parametrize(("network", "links"), [("none", ["lo"]), ("bridge", ["eth0", "lo"])])
def test_network(engine: Engine, network: str, links: list[str]) -> None:
    """`none` has the loopback alone, `bridge` a cable as well."""
    _, text = engine.output("ls", "/sys/class/net", network=network)
    assert sorted(text.split()) == links


def test_host_network(engine: Engine) -> None:
    """`host` has the machine's own namespace."""
    _, text = engine.output("readlink", "/proc/self/ns/net", network="host")
    assert text.strip() == os.readlink("/proc/self/ns/net")


def test_containers_reach_each_other(engine: Engine) -> None:
    """Two containers on the bridge can talk."""
    server = engine.container("sh", "-c", "nc -l -p 7000 -e echo hello")
    script = f"for i in 1 2 3 4 5 6 7 8 9; do nc {server.record.address} 7000 2>/dev/null && exit; usleep 50000; done"
    assert engine.output("sh", "-c", script) == (0, "hello\n")
    assert engine.run(engine.ended(server)) == 0


def test_volume(engine: Engine, tmp_path: Path) -> None:
    """A volume shows the machine's directory, written to unless :ro, and survives the container."""
    (tmp_path / "in").write_text("from the machine")
    code, text = engine.output(
        "sh", "-c", "cat /v/in; echo back > /v/out; echo no > /r/x", volumes=(f"{tmp_path}:/v", f"{tmp_path}:/r:ro")
    )
    assert text.startswith("from the machine")
    assert (tmp_path / "out").read_text() == "back\n"
    assert code == 1
    assert not (tmp_path / "x").exists()


def test_volume_of_a_file(engine: Engine, tmp_path: Path) -> None:
    """One file can be shown, too."""
    (tmp_path / "note").write_text("a note")
    assert engine.output("cat", "/etc/note", volumes=(f"{tmp_path}/note:/etc/note",)) == (0, "a note")


def test_missing_volume(engine: Engine) -> None:
    """A source that is not there is said by name, and nothing of the start is left."""
    made = engine.run(engine.containers.create(RunSpec("hako/mini", ("true",), volumes=("/nowhere/at/all:/v",))))
    with pytest.raises(Failed, match="/nowhere/at/all"):
        engine.run(engine.containers.start(made))
    assert made.record.made == []
    engine.run(engine.containers.remove(made))


@pytest.mark.parametrize(
    ("args", "number"), [(("no-such-program",), 2), (("/etc/hostname",), 13), (("/",), 13)], ids=["127", "126", "dir"]
)
def test_program_that_cannot_run(engine: Engine, args: tuple[str, ...], number: int) -> None:
    """Not found and not executable are told apart, and nothing of the start is left."""
    before = len(engine.zygote_children())
    with pytest.raises(StepFailed) as caught:
        engine.container(*args)
    assert (caught.value.kind_of_step, caught.value.errno) == ("exec", number)
    assert len(engine.zygote_children()) == before


def test_terminal(engine: Engine) -> None:
    """With --tty it has a terminal of its own devpts, of the size asked for, which is also /dev/console."""
    script = "tty; stty size; test -c /dev/console && echo console"
    _, text = engine.output("sh", "-c", script, tty=True, rows=33, cols=101)
    assert text.split() == ["/dev/pts/0", "33", "101", "console"]


def test_stdin_without_terminal(engine: Engine) -> None:
    """What is written to stdin arrives, and closing it ends the input."""
    container = engine.container("sort", interactive=True)
    assert container.stdio is not None
    container.stdio.write(b"b\na\n")
    container.stdio.close_stdin()
    assert engine.run(engine.ended(container)) == 0
    ring = container.stdio.consoles["stdout"].ring
    assert ring.read(0, ring.head) == b"a\nb\n"


def test_exec(engine: Engine) -> None:
    """exec runs in the same namespaces and group, with the same privileges, and its code comes back."""
    container = engine.container("sleep", "1000", hostname="box")
    script = "hostname; ps | grep -c 'sleep 1000'; grep CapEff /proc/self/status; exit 3"
    process = spec.exec_process(
        ["sh", "-c", script], container.record.config, env=[], user="", cwd="", tty=False, rows=0, cols=0
    )
    made = engine.run(engine.containers.exec(container, process))
    status = engine.run(_status(made.process.status))
    out = made.stdio.consoles["stdout"]
    while out.pump(4096):
        pass
    lines = out.ring.read(0, out.ring.head).decode().split("\n")
    assert os.WEXITSTATUS(status) == 3
    assert lines[0] == "box"
    assert lines[2] == "CapEff:\t00000000a80425fb"
    engine.containers.forget_exec(container, made)
    engine.run(engine.containers.remove(container, force=True))


async def _status(future: asyncio.Future[int]) -> int:
    return await future


def test_pause_and_resume(engine: Engine) -> None:
    """A paused container stands still; a resumed one goes on; a paused one can be removed."""
    container = engine.container("sh", "-c", "while :; do :; done")
    engine.run(engine.containers.pause(container))
    group = engine.groups.get(f"containers/{container.id}")
    first = group.usage().cpu_us
    assert first == group.usage().cpu_us
    with pytest.raises(Conflict, match="paused"):
        engine.run(engine.containers.pause(container))
    engine.run(engine.containers.resume(container))
    engine.run(engine.containers.pause(container))
    engine.run(engine.containers.remove(container, force=True))
    assert container.ended.result() == 137


def test_names(engine: Engine) -> None:
    """A taken name, a hostile one and an unknown one are each said."""
    made = engine.run(engine.containers.create(RunSpec("hako/mini", ("true",), name="first")))
    with pytest.raises(Conflict, match="taken"):
        engine.run(engine.containers.create(RunSpec("hako/mini", ("true",), name="first")))
    for name in ("../x", "a/b", ".hidden", "x" * 200):
        with pytest.raises(BadInput):
            engine.run(engine.containers.create(RunSpec("hako/mini", ("true",), name=name)))
    with pytest.raises(NotFound):
        engine.containers.get("second")
    with pytest.raises((BadInput, NotFound)):
        engine.run(engine.containers.create(RunSpec("../../etc/passwd", ("true",))))
    engine.run(engine.containers.remove(made))


@pytest.mark.parametrize("name", ["proc", "sys", "dev", "etc"])
def test_hostile_root_file_system(engine: Engine, tmp_path: Path, name: str) -> None:
    """An image whose /proc, /sys, /dev or /etc is a link elsewhere is refused, and the place it points to untouched."""
    lower, outside = tmp_path / "lower", tmp_path / "outside"
    for path in (lower, outside):
        path.mkdir()
    (lower / name).symlink_to(f"../../../../../../..{outside}")
    made = engine.run(engine.containers.create(RunSpec("hako/mini", ("true",))))
    made.record.layers.append(str(lower))
    with pytest.raises(StepFailed, match=r"Too many levels of symbolic links|Not a directory"):
        engine.run(engine.containers.start(made))
    assert list(outside.iterdir()) == []
    assert made.record.made == []
    engine.run(engine.containers.remove(made))


def test_found_again_with_every_byte(engine: Engine) -> None:
    """A daemon that starts again finds the container, what it printed meanwhile, and how it ended."""
    container = engine.container("sh", "-c", "echo before; read line; echo $line; exit 5", interactive=True)
    engine.restart()
    again = engine.containers.get(container.id)
    assert again.stdio is not None
    again.stdio.write(b"after\n")
    assert engine.run(engine.ended(again)) == 5
    ring = again.stdio.consoles["stdout"].ring
    assert ring.read(0, ring.head) == b"before\nafter\n"
    engine.run(engine.containers.close())
    engine.run(engine.containers.remove(again))


def test_ended_while_the_daemon_was_away(engine: Engine) -> None:
    """The exit code of a program that ended without a daemon is not lost."""
    container = engine.container("sh", "-c", "read line; exit 9", interactive=True)
    assert container.stdio is not None
    os.write(container.stdio.stdin, b"go\n")
    exits = engine.settings.run / "exits" / container.id
    wait_for(exits.exists)
    engine.restart()
    again = engine.containers.get(container.id)
    engine.run(_finished(again.ended))
    assert again.record.exit_code == 9
    engine.run(engine.containers.close())
    engine.run(engine.containers.remove(again))


async def _finished(future: asyncio.Future[int]) -> None:
    await future


def test_no_descriptor_is_left(engine: Engine) -> None:
    """Twenty starts leave no descriptor in the daemon (but for the pool's own two) and none in the zygote."""
    engine.output("true")
    before, zygote_before = open_fds(), engine.zygote_fds()
    for _ in range(20):
        engine.output("true")
    assert open_fds() <= before + 2
    assert engine.zygote_fds() == zygote_before
