"""The life of a lab: its terminals, scripts, pause, reset and end, and what a new daemon finds."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from engine.errors import BadInput, Conflict, Exhausted, NotFound
from engine.lab import Lab, LabShape
from engine.linux.cgroups import Group
from engine.terminal import Terminal
from tests.engine.engines import Engine, wait_for
from tests.engine.labs import sh, text, typed

pytestmark = pytest.mark.root


# Its terminals


def test_terminal_is_a_login_to_the_lab(engine: Engine, lab: Lab) -> None:
    """A terminal is a bash of the lab's root on the lab's own devpts, of the size asked for, with job control."""
    terminal = engine.run(engine.labs.terminal(lab, "size", 31, 97))
    seen = engine.run(typed(terminal, b"stty size; tty; id -u; sleep 100 & jobs; kill %1\n", r"\[1\]\+"))
    assert "31 97" in seen
    assert "/dev/pts/" in seen
    engine.labs.close_terminal(lab, terminal)


def test_interrupt_reaches_the_job(engine: Engine, lab: Lab) -> None:
    """Ctrl-C ends the foreground job: no ignored signal was inherited."""
    terminal = engine.run(engine.labs.terminal(lab, "interrupt", 24, 80))
    engine.run(typed(terminal, b"sleep 1000\n", "sleep 1000"))
    wait_for(lambda: _foreground(terminal) == "sleep")
    terminal.write(b"\x03")
    wait_for(lambda: _foreground(terminal) == "bash")
    engine.labs.close_terminal(lab, terminal)


def _foreground(terminal: Terminal) -> str:
    try:
        return Path(f"/proc/{os.tcgetpgrp(terminal.master)}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ends just now, and the shell has not yet taken the terminal back


def test_same_name_same_terminal(engine: Engine, lab: Lab) -> None:
    """A name stands for one terminal as long as its shell lives, then for a new one with a new id."""
    first = engine.run(engine.labs.terminal(lab, "twice", 24, 80))
    assert engine.run(engine.labs.terminal(lab, "twice", 24, 80)) is first
    first.write(b"exit\n")
    engine.run(_status(first))
    second = engine.run(engine.labs.terminal(lab, "twice", 24, 80))
    assert second.id != first.id
    engine.labs.close_terminal(lab, second)


async def _status(terminal: Terminal) -> int:
    return await terminal.process.status


def test_terminal_names(engine: Engine, lab: Lab) -> None:
    """A hostile name is refused, and so is one terminal too many."""
    for name in ("", "../x", "Ω", "a b", "x" * 40):
        with pytest.raises(BadInput):
            engine.run(engine.labs.terminal(lab, name, 24, 80))
    opened = []
    with pytest.raises(Exhausted):
        for number in range(engine.settings.terminals_per_lab + 1):
            opened.append(engine.run(engine.labs.terminal(lab, f"many-{number}", 24, 80)))
    for terminal in opened:
        engine.labs.close_terminal(lab, terminal)


# Its life


def test_script_has_a_deadline(engine: Engine, lab: Lab) -> None:
    """A script that does not end is killed, and says so by 137."""
    assert sh(engine, lab, "echo begun; sleep 1000", timeout_s=0.3).status == 137


def test_script_leaves_processes(engine: Engine, lab: Lab) -> None:
    """What a script leaves running goes on in the lab."""
    sh(engine, lab, "setsid sleep 4321 >/dev/null 2>&1 &")
    assert sh(engine, lab, "pgrep -f 'sleep 432[1]'").status == 0
    sh(engine, lab, "pkill -f 'sleep 432[1]'")


def test_pause_and_resume(engine: Engine) -> None:
    """A paused lab stands still and refuses shells; a resumed one goes on; a paused one can be removed."""
    lab = engine.run(engine.labs.create("tests"))
    engine.run(engine.labs.pause(lab))
    with pytest.raises(Conflict, match="paused"):
        engine.run(engine.labs.terminal(lab, "lab", 24, 80))
    engine.run(engine.labs.resume(lab))
    assert sh(engine, lab, "echo alive").stdout == b"alive\n"
    engine.run(engine.labs.pause(lab))
    engine.run(engine.labs.remove(lab))
    with pytest.raises(NotFound):
        engine.labs.get(lab.id)


def test_reset_is_a_fresh_machine(engine: Engine) -> None:
    """After a reset nothing of the old lab is there, but it is the same lab."""
    lab = engine.run(engine.labs.create("tests", LabShape(hostname="box")))
    engine.run(engine.labs.terminal(lab, "lab", 24, 80))
    sh(engine, lab, "echo old > /root/old; setsid sleep 4321 & rm /usr/bin/cmp")
    engine.run(engine.labs.reset(lab))
    assert engine.labs.get(lab.id) is lab
    assert lab.terminals == {}
    assert text(sh(engine, lab, "ls -A /root/old 2>/dev/null; pgrep sleep; hostname; ls /usr/bin/cmp")) == (
        "box\n/usr/bin/cmp\n"
    )
    engine.run(engine.labs.remove(lab))


@pytest.mark.parametrize(
    "script", ["kill 1; sleep 5", "python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'"]
)
def test_kill_1_and_reboot_switch_it_off(engine: Engine, script: str) -> None:
    """A learner who kills process 1, or reboots, ends the lab and nothing else; the lab says why."""
    lab = engine.run(engine.labs.create("tests"))
    sh(engine, lab, script)
    engine.run(_gone(lab, lab.group(engine.machine)))
    assert (lab.state, lab.reason) == ("ended", "its first process ended")


async def _gone(lab: Lab, group: Group) -> None:
    while lab.state != "ended" or group.exists():
        await asyncio.sleep(0.01)


def test_too_many_labs(instance: str, engine: Engine) -> None:
    """The bound on labs is said, and holds."""
    assert len(engine.labs.all()) < engine.settings.labs_max
    object.__setattr__(engine.settings, "labs_max", len(engine.labs.all()))
    try:
        with pytest.raises(Exhausted, match="in use"):
            engine.run(engine.labs.create(instance))
    finally:
        object.__setattr__(engine.settings, "labs_max", 32)


def test_unknown_image_leaves_nothing(engine: Engine) -> None:
    """A lab of an image that is not there fails with its name, and takes no block, disk or group."""
    before = engine.labs.all()
    with pytest.raises(NotFound, match="no-such"):
        engine.run(engine.labs.create("tests", LabShape(image="hako/no-such")))
    assert engine.labs.all() == before


@pytest.mark.parametrize("words", [{"hostname": "-x"}, {"hostname": "a b"}, {"colour": "red"}, {"outbound": "yes"}])
def test_shapes_are_checked(words: dict[str, object]) -> None:
    """A lesson's lab with a word or value that means nothing is refused."""
    with pytest.raises(BadInput):
        LabShape.of(words)


def test_hostile_processes_do_not_hold_the_end_up(engine: Engine) -> None:
    """A lab with frozen groups, ignored signals and nested pid namespaces is gone within the bound."""
    lab = engine.run(engine.labs.create("tests"))
    script = (
        "setsid bash -c 'trap \"\" TERM INT HUP; while :; do :; done' & setsid unshare -pf --mount-proc sleep 1000 &"
        " if [ -d /sys/fs/cgroup/freezer ]; then mkdir /sys/fs/cgroup/freezer/ice; setsid sleep 1000 &"
        " echo $! > /sys/fs/cgroup/freezer/ice/tasks; echo FROZEN > /sys/fs/cgroup/freezer/ice/freezer.state;"
        " else mkdir /sys/fs/cgroup/ice; setsid sleep 1000 & echo $! > /sys/fs/cgroup/ice/cgroup.procs;"
        " echo 1 > /sys/fs/cgroup/ice/cgroup.freeze; fi; sleep 0.2"
    )
    sh(engine, lab, script)
    engine.run(engine.labs.remove(lab))
    assert not lab.group(engine.machine).exists()


def test_found_again_with_every_byte(own_engine: Engine) -> None:
    """A daemon that starts again finds the lab, its terminal, its scrollback, and goes on with the next byte."""
    engine = own_engine
    lab = engine.run(engine.labs.create("tests"))
    terminal = engine.run(engine.labs.terminal(lab, "lab", 24, 80))
    before = engine.run(typed(terminal, b"echo fi''rst; read x; echo got $x\n", "first"))
    engine.restart()
    again = engine.labs.get(lab.id)
    found = again.terminals["lab"]
    assert found.id == terminal.id
    found.read_until(None)  # it is not read until somebody says how far
    after = engine.run(typed(found, b"second\n", "got second"))
    assert after.startswith(before)
    assert after.count("first") == before.count("first")
    engine.run(engine.labs.remove(again))


def test_a_program_gets_all_of_its_input(engine: Engine, lab: Lab) -> None:
    """More than a pipe holds comes through whole; one that does not read to the end is not waited for."""
    data = os.urandom(1 << 20)
    done = engine.run(engine.labs.run(lab, ["sha256sum"], stdin=data))
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert engine.run(engine.labs.run(lab, ["head", "-c", "1"], stdin=data)).stdout == data[:1]
