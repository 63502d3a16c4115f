"""`hako run --script`: to the kernel, the container that a shell built by hand is the one that the engine makes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.linux.cgroups import Group
from engine.runtime import script_place
from engine.runtime.spec import RunSpec
from tests.engine.engines import INSIDE, Engine, wait_for

pytestmark = pytest.mark.root

RUN = RunSpec(
    image="hako/mini",
    args=("sleep", "4711"),
    name="twin",
    hostname="twin",
    env=("WORD=two words",),
    memory_bytes=64 << 20,
    cpus=0.5,
    pids=50,
    workdir="/srv",
    cap_drop=("NET_RAW",),
)
STATUS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "SigIgn", "SigBlk")
OF_INTEREST = re.compile(r"\.(limit_in_bytes|max|cfs_quota_us|cfs_period_us|list)$")


def group(engine: Engine, name: str) -> tuple[Path, ...]:
    """The directories of a group, there or not."""
    return Group(engine.groups.hierarchy, engine.groups.instance, name).directories


@contextmanager
def by_hand(engine: Engine, folder: Path, run: RunSpec) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The script at work: its shell, and the first process of what it built."""
    file = folder / "script"
    file.write_text(script_place.script_of(engine.machine, run, "hako run --script", "en"))
    with (folder / "errors").open("wb") as errors:
        shell = subprocess.Popen(["sh", str(file)], stdin=subprocess.DEVNULL, stderr=errors)
    try:
        wait_for(lambda: shell.poll() is not None or _first(engine))
        assert shell.poll() is None, (folder / "errors").read_text()
        yield shell, _first(engine)
    finally:
        shell.send_signal(signal.SIGTERM)
        if pid := _first(engine):
            os.kill(pid, signal.SIGKILL)
        shell.wait(20)


def _first(engine: Engine) -> int:
    """The program itself, once it is no shell any more; 0 before."""
    for folder in group(engine, f"{script_place.BY_HAND}/twin"):
        if folder.is_dir():
            for word in (folder / "cgroup.procs").read_text().split():
                try:
                    if Path(f"/proc/{word}/comm").read_text() == "sleep\n":
                        return int(word)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it ended while we looked
    return 0


def seen(pid: int, groups: tuple[Path, ...]) -> dict[str, Any]:
    """What the kernel tells of a container by its first process."""
    proc = Path(f"/proc/{pid}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
    root = proc / "root"
    tree = [
        (path[len(str(root)) :], name)
        for path, folders, files in os.walk(root)
        for name in [*folders, *files]
        if not path[len(str(root)) :].startswith(("/proc", "/sys"))
    ]
    inside = ["nsenter", "-t", str(pid), "-n", "-u"]
    return {
        "status": {name: status[name] for name in STATUS},
        "own": {each for each in os.listdir("/proc/self/ns") if os.readlink(proc / "ns" / each) != _ours(each)},
        "hostname": subprocess.check_output([*inside, "hostname"], text=True),
        "links": re.findall(r"^\d+: (\w+).*state (\w+)", _out([*inside, "ip", "-o", "link"]), re.MULTILINE),
        "route": _out([*inside, "ip", "route", "show", "default"]),
        "mounts": sorted((each[4], each[5], each[each.index("-") + 1]) for each in mounts),
        "tree": sorted(tree),
        "cwd": os.readlink(proc / "cwd"),
        "argv": (proc / "cmdline").read_bytes(),
        "env": sorted((proc / "environ").read_bytes().split(b"\0")),
        "limits": _limits(groups),
        "nspid": status["NSpid"].split()[-1],
    }


def _ours(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def _out(command: list[str]) -> str:
    return subprocess.check_output(command, text=True, timeout=10)


def _limits(groups: tuple[Path, ...]) -> dict[str, str]:
    files = [path for folder in groups for path in sorted(folder.iterdir()) if OF_INTEREST.search(path.name)]
    return {f"{path.name}": path.read_text() for path in files if path.stat().st_mode & 0o444}


def test_both_are_the_same_container(engine: Engine, tmp_path: Path) -> None:
    """Namespaces, mounts, root, limits, devices, capabilities, name, network, environment: all but the filter."""
    made = engine.container(
        *RUN.args,
        **{name: getattr(RUN, name) for name in RunSpec.__dataclass_fields__ if name not in ("image", "args")},
    )
    assert made.process is not None
    try:
        theirs = seen(made.process.pid, group(engine, f"containers/{made.id}"))
        with by_hand(engine, tmp_path, RUN) as (_, pid):
            ours = seen(pid, group(engine, f"{script_place.BY_HAND}/twin"))
    finally:
        engine.run(engine.containers.remove(made, force=True))
    if INSIDE:  # where sh is bash, which adds this to whatever it executes
        ours["env"].remove(b"SHLVL=0")
    for name, value in theirs.items():
        assert ours[name] == value, name
    assert ours["own"] >= {"mnt", "pid", "net", "uts", "ipc", "cgroup"}


def test_nothing_is_left_and_the_status_is_the_programs(engine: Engine, tmp_path: Path) -> None:
    """Killed, it ends with 137, and no mount, link, group or file of it is there any more."""
    with by_hand(engine, tmp_path, RUN) as (shell, pid):
        os.kill(pid, signal.SIGKILL)
        assert shell.wait(20) == 137
    assert not (engine.settings.data / script_place.BY_HAND).exists()
    assert not any(path.exists() for path in group(engine, script_place.BY_HAND))
    assert script_place.BY_HAND not in Path("/proc/self/mountinfo").read_text()
    assert "byhand" not in _out(["ip", "-o", "link"])


def test_what_cannot_be_built_is_unmade(engine: Engine, tmp_path: Path) -> None:
    """A volume that is not there: the script says so, ends with 125, and leaves nothing."""
    run = RunSpec(image="hako/mini", args=("true",), volumes=("/no/such/place:/v",), name="twin")
    file = tmp_path / "script"
    file.write_text(script_place.script_of(engine.machine, run, "", "en"))
    done = subprocess.run(["sh", str(file)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 125
    assert "/no/such/place" in done.stderr
    assert not (engine.settings.data / script_place.BY_HAND).exists()
