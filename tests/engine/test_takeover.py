"""What a new daemon takes over from one that was killed, in the cases that are not seen every day."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engine.lab import Lab
from engine.runtime.process import StepFailed, Zygote
from engine.terminal import Terminal
from tests.engine.engines import ROOT, ZYGOTE, Engine, open_fds, wait_for
from tests.engine.labs import sh, typed

pytestmark = pytest.mark.root
MANY = 1000
#: A zygote that has as many terminals as a large class: all of them this one process, each with its descriptors.
CROWDED = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
from engine.linux import syscalls
from engine.runtime import zygote
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[2])
listener.listen(4)
keeper = zygote.Zygote(listener, os.path.dirname(sys.argv[2]))
for number in range(int(sys.argv[3])):
    key, me = f"lab.{number}.terminal", os.getpid()
    kept = {name: os.open("/dev/null", os.O_RDONLY) for name in ("master", "tty.pipe_r", "tty.pipe_w", "tty.ring")}
    keeper.processes[key] = zygote.Process(key, me, syscalls.pidfd_open(me), kept, {"kind": "terminal", "lab": "lab"})
print("ready", flush=True)
keeper.serve()
"""


def test_a_thousand_terminals_are_found_again(tmp_path: Path) -> None:
    """More than a socket holds at once: the zygote goes on telling as the new daemon reads."""
    path, before = tmp_path / "zygote.sock", open_fds()
    command = [sys.executable, "-c", CROWDED, str(ROOT), str(path), str(MANY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            asyncio.run(_find_all(path))
        finally:
            process.kill()
    assert open_fds() == before


def test_open_files_suffice_for_many_terminals(tmp_path: Path) -> None:
    """Where a login shell allows 1024 open files, the zygote raises its own limit as far as it may."""
    command = [sys.executable, "-I", "-S", str(ZYGOTE), "--socket", str(tmp_path / "zygote.sock")]
    with subprocess.Popen(
        ["prlimit", "--nofile=1024:4096", "--", *command, "--exits", str(tmp_path / "exits")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
        finally:
            process.kill()


def test_a_lab_has_the_usual_limit_of_open_files(engine: Engine, lab: Lab) -> None:
    """Not the zygote's own."""
    assert sh(engine, lab, "ulimit -Sn").stdout == b"1024\n"


async def _find_all(path: Path) -> None:
    zygote = Zygote(path)
    await zygote.connect()
    try:
        found = await zygote.recover()
        assert [each.key for each in found] == [f"lab.{number}.terminal" for number in range(MANY)]
        assert all(len(each.fds) == 4 for each in found)
    finally:
        zygote.close()


def test_the_last_words_of_a_shell_that_ended_while_nobody_was_there_are_kept(own_engine: Engine) -> None:
    """It printed and ended between two daemons: the next has all of it, and its exit code."""
    engine = own_engine
    lab = engine.run(engine.labs.create("tests"))
    terminal = engine.run(engine.labs.terminal(lab, "lab", 24, 80))
    engine.run(typed(terminal, b"echo rea''dy; read -t 0.5; echo la''st; exit 7\n", "ready"))
    engine.run(engine._forget())
    wait_for((engine.settings.run / "exits" / terminal.id).exists)
    engine.run(engine._begin())
    found = engine.labs.get(lab.id).terminals["lab"]
    found.read_until(None)
    engine.run(_ended(found))
    assert (found.id, found.exited) == (terminal.id, 7)
    _, data = found.read(0, 1 << 20)
    assert b"last\r\n" in data
    again = engine.run(engine.labs.terminal(engine.labs.get(lab.id), "lab", 24, 80))
    assert again.id != terminal.id
    engine.run(engine.labs.remove(engine.labs.get(lab.id)))


async def _ended(terminal: Terminal) -> None:
    while terminal.exited is None:
        await asyncio.sleep(0.01)


def test_no_terminal_id_comes_twice(own_engine: Engine) -> None:
    """The count is written before the shell is started: a daemon killed in between does not give it out again."""
    engine = own_engine
    lab = engine.run(engine.labs.create("tests"))
    with pytest.raises(StepFailed):
        engine.run(engine.labs.terminal(lab, "lab", 24, 80, args=("/nothing/there",)))
    engine.restart()
    found = engine.labs.get(lab.id)
    assert engine.run(engine.labs.terminal(found, "lab", 24, 80)).id == f"{lab.id}.2.lab"
    engine.run(engine.labs.remove(found))
