"""Ways out that containers and labs of others had, tried on ours; each claim names its CVE where there is one."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest import MonkeyPatch

from engine.errors import BadInput, Conflict, Unsupported
from engine.images.store import ImageStore
from engine.lab import Lab
from engine.linux import capabilities, cgroups, mounts, syscalls
from engine.runtime.process import StepFailed
from engine.runtime.spec import RunSpec
from engine.storage import loop
from tests.engine.engines import Engine, open_fds, shared_images
from tests.engine.labs import sh, text, typed

pytestmark = pytest.mark.root

ADD_KEY, KEYCTL_NUMBER = 248, 250


# What a container's root may do, being the machine's root without most of its power


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A block device of the machine with a secret on it: (the file behind it, its number)."""
    image = tmp_path / "secret.img"
    image.write_bytes(b"SECRET" + bytes(1 << 20))
    with image.open("r+b") as file:
        device, fd = loop.attach(file.fileno(), "hako/test-escape")
    try:
        yield image, os.stat(device.device).st_rdev
    finally:
        loop.release(device)
        os.close(fd)


def test_a_node_made_by_root_opens_no_device(engine: Engine, disk: tuple[Path, int]) -> None:
    """CAP_MKNOD makes a node of the machine's disk, as with Docker, but the group's list keeps it from being opened."""
    image, number = disk
    node = f"mknod /d b {os.major(number)} {os.minor(number)}"
    code, text = engine.output("sh", "-c", f"{node} && head -c 6 /d; echo X > /d; mknod /f c 10 229; head -c 1 /f")
    assert "SECRET" not in text
    assert text.count("Operation not permitted") == 3
    assert code != 0
    assert image.read_bytes()[:6] == b"SECRET"


def test_the_usual_devices_work(engine: Engine) -> None:
    """What every container gets can be opened, by the engine's nodes and by one it makes itself."""
    script = (
        "for d in null zero full random urandom; do : < /dev/$d || exit 1; done; mknod /n c 1 3 && echo x > /n"
        " && echo y > /dev/null && tty && echo z > /dev/tty && echo w > /dev/console && echo fine"
    )
    assert "fine" in engine.output("sh", "-c", script, tty=True)[1]


def test_devices_are_kept_away_on_v2(engine: Engine, disk: tuple[Path, int]) -> None:
    """The same list as a BPF program on a group of the v2 tree: the null device yes, the disk no, making nodes yes."""
    unified = engine.groups.hierarchy.unified
    if unified is None:
        pytest.skip("no cgroup v2 tree is mounted")
    v2 = cgroups.Root(cgroups.Hierarchy({}, unified, frozenset()), engine.settings.instance)
    group = v2.create("devices")
    group.allow_devices((("c", 1, 3), ("c", 136, None)))
    node = disk[0].parent / "node"
    procs = unified / engine.settings.instance / "devices" / "cgroup.procs"
    script = (
        f"echo 0 > {procs}; : < /dev/null && mknod {node} b {os.major(disk[1])} {os.minor(disk[1])} || exit 1;"
        f" head -c 1 {node} /dev/zero"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    group.remove()
    assert done.returncode == 1
    assert done.stderr.count("Operation not permitted") == 2
    assert done.stdout == ""


# What a lab learns and holds of the machine


KEYCTL = "import ctypes; l = ctypes.CDLL(None); print(l.syscall(250, {}, -3, 0, 0))"


@pytest.fixture
def keyed_engine(instance: str, tmp_path: Path) -> Iterator[Engine]:
    """An engine started from a session that has a keyring with a key in it, as a login has."""
    syscalls.join_session_keyring("hako-test-login")
    add_key = ctypes.CDLL(None, use_errno=True).syscall
    assert add_key(ADD_KEY, b"user", b"hako-test-secret", b"SECRET", ctypes.c_size_t(6), -3) > 0
    with Engine(instance, tmp_path / "engine", shared_images()) as made:
        yield made


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls")
def test_nobody_has_the_keys_of_who_started_the_engine(keyed_engine: Engine) -> None:
    """Labs, their terminals' programs, containers and execs have session keyrings of their own (keyrings(7))."""
    engine = keyed_engine
    mine = ctypes.CDLL(None).syscall(KEYCTL_NUMBER, 0, -3, 0)
    lab = engine.run(engine.labs.create("tests"))
    seen = text(sh(engine, lab, f"python3 -c '{KEYCTL.format(0)}'; cat /proc/keys"))
    assert int(seen.split()[0]) not in (mine, -1)
    assert "hako-test-secret" not in seen


def test_a_shell_opens_where_the_learner_moved_everybody(own_engine: Engine) -> None:
    """v2: a group that hands controllers down takes no process (EBUSY); the next shell joins init, and can move on."""
    engine = own_engine
    unified = engine.groups.hierarchy.unified
    controllers = (unified / "cgroup.controllers").read_text().split() if unified else []
    if unified is None or not controllers:
        pytest.skip("the cgroup v2 tree has no controller here")
    lab = engine.run(engine.labs.create("tests"))
    path = unified
    for part in ("", engine.settings.instance, "labs", lab.id):
        path = path / part
        (path / "cgroup.subtree_control").write_text(f"+{controllers[0]}")
    base = "/sys/fs/cgroup/unified" if engine.groups.hierarchy.v1 else "/sys/fs/cgroup"
    script = (
        f"cd {base} && mkdir rest box && for p in $(cat cgroup.procs); do echo $p > rest/cgroup.procs; done;"
        f" echo +{controllers[0]} > cgroup.subtree_control"
    )
    assert sh(engine, lab, script).status == 0
    done = sh(
        engine, lab, f"grep ^0:: /proc/self/cgroup; echo 0 > {base}/box/cgroup.procs && grep ^0:: /proc/self/cgroup"
    )
    assert text(done) == "0::/rest\n0::/box\n"
    terminal = engine.run(engine.labs.terminal(lab, "second", 24, 80))
    assert "0::/rest" in engine.run(typed(terminal, b"tail -n 1 /proc/self/cgroup\n", "0::/r"))


# When what a lab needs is not there, or who asked goes away


def test_layers_that_cannot_be_idmapped_are_said(own_engine: Engine, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    """A lab whose layers lie on a file system without id-mapped mounts (overlay) fails in words, and leaves nothing."""
    engine = own_engine
    image = engine.machine.images.get("hako/lab")
    for part in ("upper", "work"):
        (tmp_path / part).mkdir()
    overlay = engine.machine.union.mount(image.layers, tmp_path / "upper", tmp_path / "work")
    (tmp_path / "seen").mkdir()
    mounts.attach_path(overlay, str(tmp_path / "seen"))
    try:
        monkeypatch.setattr(ImageStore, "get", lambda *_: replace(image, layers=[tmp_path / "seen"]))
        with pytest.raises(Unsupported, match="cannot be id-mapped"):
            engine.run(engine.labs.create("tests"))
    finally:
        os.close(overlay)
        syscalls.umount2(str(tmp_path / "seen"), syscalls.MNT_DETACH)
    assert engine.labs.all() == []
    assert engine.groups.children("labs") == []


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.005, 0.01, 0.02])
def test_who_asks_may_go_away(engine: Engine, after_s: float) -> None:
    """A web server that dies while its lab is made, reset or ended leaves a whole lab, then a fresh one, then none."""
    first = engine.run(engine.labs.create("tests"))  # opens what stays open: netlink sockets, the pool's namespaces
    engine.run(engine.labs.remove(first))
    engine.run(engine.network.drained())
    before, fds = len(engine.labs.all()), open_fds()

    async def given_up(work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    engine.run(given_up(engine.labs.create("tests")))
    lab = engine.labs.all()[-1]
    engine.run(settled(lab))
    assert (lab.state, sh(engine, lab, "echo > /root/old").status) == ("ready", 0)
    engine.run(given_up(engine.labs.reset(lab)))
    engine.run(settled(lab))
    assert (lab.state, text(sh(engine, lab, "ls /root/old")).count("No such file")) == ("ready", 1)
    engine.run(given_up(engine.labs.remove(lab)))
    engine.run(settled(lab))
    assert (lab.state, len(engine.labs.all())) == ("ended", before)
    assert not lab.group(engine.machine).exists()
    engine.run(closed_to(fds + 2))  # the pool of network namespaces holds two, and may have filled meanwhile


async def closed_to(most: int) -> None:
    """Wait until no more than so many descriptors are open: what was given up is closed behind whoever asked."""
    while open_fds() > most:
        await asyncio.sleep(0.01)


async def settled(lab: Lab) -> None:
    """Wait until nothing changes the lab's life any more."""
    await asyncio.sleep(0)
    async with lab.lock:
        pass


# hako run, where the engine is not all-powerful, and started twice at once


def test_all_capabilities_are_those_there_are(engine: Engine) -> None:
    """--cap-add ALL gives what the engine holds, which in a container is not everything; more by name is refused."""
    held = capabilities.held()
    _, seen = engine.output("grep", "-E", "CapEff|CapBnd", "/proc/self/status", cap_add=("ALL",))
    assert {int(word, 16) for word in seen.split()[1::2]} == {held}
    lacking = capabilities.names(capabilities.ALL & ~held)
    if lacking:
        with pytest.raises(BadInput, match=lacking[0]):
            engine.container("true", cap_add=(lacking[0],))


def test_started_twice_at_once_is_started_once(engine: Engine) -> None:
    """Of two starts of one container one is refused; started again as soon as it has ended, it runs anew."""
    made = engine.run(engine.containers.create(RunSpec("hako/mini", ("sh", "-c", "exit 3"))))

    async def twice() -> list[Any]:
        starts = (engine.containers.start(made), engine.containers.start(made))
        return await asyncio.gather(*starts, return_exceptions=True)

    assert sum(isinstance(result, Conflict) for result in engine.run(twice())) == 1
    for _ in range(3):
        assert engine.run(engine.ended(made)) == 3
        engine.run(engine.containers.start(made))
    assert engine.run(engine.ended(made)) == 3
    engine.run(engine.containers.close())
    engine.run(engine.containers.remove(made))
    assert engine.groups.children("containers") == []


def test_too_many_words_are_refused_in_words(engine: Engine, lab: Lab) -> None:
    """Arguments beyond what a message to the zygote holds are the caller's mistake, and nothing else suffers."""
    with pytest.raises(BadInput, match="too long"):
        engine.run(engine.labs.run(lab, ["echo", "x" * 200_000]))
    assert sh(engine, lab, "echo alive").stdout == b"alive\n"


@pytest.mark.parametrize("number", range(3, 24))
def test_no_descriptor_is_a_working_directory(engine: Engine, number: int) -> None:
    """/proc/self/fd/N as --workdir leads nowhere outside the container (CVE-2024-21626)."""
    try:
        _, seen = engine.output("sh", "-c", "pwd; ls ../../../../../../root/.. ", workdir=f"/proc/self/fd/{number}")
    except StepFailed as error:
        assert error.kind_of_step == "workdir"
    else:
        assert "hako" not in seen
        assert sorted(seen.split()[1:]) == sorted(engine.output("ls", "/")[1].split())
