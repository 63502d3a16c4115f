"""A lab whose root means harm: what it takes from others, what holds the engine up, what it reads of the machine."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from pytest import MonkeyPatch

from engine.errors import Exhausted
from engine.lab import PROGRAMS_MAX, Lab
from engine.linux import ptys
from engine.observe import LabView, Observer
from engine.runtime import process
from engine.runtime.process import StepFailed
from tests.engine.engines import Engine
from tests.engine.labs import sh, text, typed

pytestmark = pytest.mark.root


# What a hostile lab takes from others


TAKE_PTYS = """
import os
os.makedirs("/tmp/d")
os.system("mount -t devpts -o newinstance,max=1000000,ptmxmode=666 d /tmp/d")
held = []
try:
    while len(held) < 5000:
        held.append(os.open("/tmp/d/ptmx", os.O_RDWR | os.O_NOCTTY))
except OSError:
    pass
print(len(held), flush=True)
open("/tmp/taken", "w").close()
import time
time.sleep(1000)
"""


def test_one_lab_cannot_take_every_terminal(engine: Engine, lab: Lab) -> None:
    """A lab that mounts its own devpts and takes more ptys than a machine usually has leaves some for another."""
    keep = engine.settings.run / "pty.max"
    ptys.make_room(keep)
    greedy = engine.run(engine.labs.create("greedy"))
    try:
        script = f"ulimit -n 6000; nohup python3 -c '{TAKE_PTYS}' > /tmp/out 2>&1 & until [ -e /tmp/taken ]; do :; done"
        assert sh(engine, greedy, script).status == 0
        assert int(sh(engine, greedy, "cat /tmp/out").stdout) == 5000
        terminal = engine.run(engine.labs.terminal(lab, "mine", 24, 80))
        assert "ALIVE" in engine.run(typed(terminal, b"echo AL''IVE\n", "ALIVE"))
        engine.labs.close_terminal(lab, terminal)
    finally:
        engine.run(engine.labs.remove(greedy))
        ptys.give_back(keep)


# A raw FUSE server that never answers: whoever looks at what it holds waits for it. See fuse(4).
SILENT_FUSE = """
import ctypes, os, sys, time
os.makedirs("/tmp/silent")
for place in sys.argv[1:]:
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    assert ctypes.CDLL(None).mount(b"silent", place.encode(), b"fuse", 6, options) == 0
open("/tmp/mounted", "w").close()
time.sleep(1000)
"""
PEEP = """
import ctypes, os, time
ways = {"fd": os.listdir, "exe": os.readlink, "cwd": os.readlink, "root": os.readlink}
def helpers():
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and "hako-zygote" in open(f"/proc/{pid}/comm").read()]
while not (found := helpers()):
    time.sleep(0.01)
for pid in found:
    seen = []
    for what in ("environ", "maps", "mem", "auxv", "syscall", *ways):
        try:
            ways.get(what, lambda path: open(path, "rb").read(1))(f"/proc/{pid}/{what}")
            seen.append(what)
        except OSError:
            pass
    if ctypes.CDLL(None).ptrace(16, int(pid), 0, 0) == 0:
        seen.append("ptrace")
    print("HELPER", *seen)
"""


def mount_silent_fuse(engine: Engine, lab: Lab, *places: str) -> None:
    """Mount one over each of these directories, by a program that stays."""
    wait = "until [ -e /tmp/mounted ]; do :; done"
    done = sh(engine, lab, f"nohup python3 -c '{SILENT_FUSE}' {' '.join(places)} > /dev/null 2>&1 & {wait}")
    assert done.status == 0, text(done)


def test_a_stuck_helper_gives_nothing_away_and_is_ended(engine: Engine, monkeypatch: MonkeyPatch) -> None:
    """The engine's process that enters a lab and hangs there (a silent FUSE mount) cannot be read, traced or followed
    by the lab's root (CVE-2016-9962), holds up nobody else, and is ended by its deadline."""
    monkeypatch.setattr(process, "DEADLINE_S", 3.0)
    lab = engine.run(engine.labs.create("tests"))
    mount_silent_fuse(engine, lab, "/tmp/silent")

    async def enter_and_peep() -> list[Any]:
        stuck = engine.labs.terminal(lab, "stuck", 24, 80, cwd="/tmp/silent")
        return await asyncio.gather(engine.labs.run(lab, ["python3", "-c", PEEP]), stuck, return_exceptions=True)

    peeped, error = engine.run(enter_and_peep())
    assert text(peeped).split() == ["HELPER"]
    assert isinstance(error, StepFailed)
    assert sh(engine, lab, "echo alive").stdout == b"alive\n"
    engine.run(engine.labs.remove(lab))
    assert not lab.group(engine.machine).exists()


def test_looking_at_a_lab_touches_none_of_its_files(engine: Engine) -> None:
    """A silent file system over a lab's /proc, /etc and /root stops neither a look at it nor its end."""
    lab = engine.run(engine.labs.create("tests"))
    mount_silent_fuse(engine, lab, "/etc", "/root", "/run", "/proc", "/dev")
    view = LabView(
        lab.id, lab.process.pid if lab.process else 0, (lab.group(engine.machine, "payload").processes_path,), {}
    )
    assert Observer(view).observe().processes
    engine.run(engine.labs.remove(lab))
    assert not lab.group(engine.machine).exists()


def test_a_flood_left_behind_holds_nobody_up(engine: Engine, lab: Lab) -> None:
    """A script of a check that leaves a program behind which writes without end is over when the script is."""
    done = sh(engine, lab, "yes & disown; echo done >&2; sleep 0.1; exit 3")
    assert (done.status, done.stderr) == (3, b"done\n")
    assert len(done.stdout) > 0
    sh(engine, lab, "pkill yes")


def test_programs_at_once_are_bounded(engine: Engine, lab: Lab) -> None:
    """More programs run in a lab at once than it may have are refused; those under way come to their end."""

    async def many() -> list[Any]:
        work = (engine.labs.run(lab, ["sleep", "0.3"]) for _ in range(PROGRAMS_MAX + 3))
        return await asyncio.gather(*work, return_exceptions=True)

    results = engine.run(many())
    assert sum(isinstance(each, Exhausted) for each in results) == 3
    assert sum(getattr(each, "status", None) == 0 for each in results) == PROGRAMS_MAX
    assert sh(engine, lab, "true").status == 0


# What a lab reads of the machine


READABLE = {
    "paths of the machine": "cat /proc/mounts /proc/self/mountinfo /sys/block/loop*/loop/backing_file /proc/*/cmdline",
    "processes": "cat /proc/*/comm /proc/*/cgroup",
    "abstract sockets": "cat /proc/net/unix",
    "routes and links": "cat /proc/net/route /proc/net/dev; ls /sys/class/net",
    "environment": "cat /proc/*/environ; env",
}


@pytest.mark.parametrize("what", READABLE)
def test_a_lab_reads_nothing_of_the_engine(engine: Engine, lab: Lab, what: str, tmp_path: Path) -> None:
    """Neither the data directory, nor the instance, nor a socket of the machine shows in what a lab can read."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0hako-test-secret")
        listener.listen(1)
        seen = text(sh(engine, lab, f"({READABLE[what]}) 2>/dev/null | tr '\\0' '\\n'"))
        connect = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0hako-test-secret\")'"
        assert sh(engine, lab, connect).status != 0
    secrets = (
        "hako-test-secret",
        str(engine.settings.data),
        str(engine.settings.run),
        engine.settings.instance,
        "hako-zygote",
    )
    assert [each for each in secrets if each in seen] == []
