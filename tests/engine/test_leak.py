"""Two hundred labs come and go, and the machine is as it was."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from engine.storage.disk import LabDisks
from tests.engine.engines import Engine, open_fds, wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

LABS = 200
AT_ONCE = 10


def census(engine: Engine) -> dict[str, int]:
    """How much there is of what a lab is made of, as the kernel counts it.

    A namespace lives by a process (children, cgroups), a descriptor or a mount: with those gone, it is.
    """
    instance = engine.settings.instance
    listed = subprocess.run(["nft", "list", "table", "inet", instance], capture_output=True, text=True, check=True)
    roots = engine.groups.hierarchy.mounts
    return {
        "mounts": Path("/proc/self/mountinfo").read_text().count(instance),
        "cgroups": sum(len(list((root / instance).rglob("cgroup.procs"))) for root in roots),
        "links": sum(1 for name in os.listdir("/sys/class/net") if name.startswith(instance)),
        "loop devices": len(LabDisks(engine.settings.data / "disks").attached()),
        "namespaces held": sum(1 for link in Path("/proc/self/fd").iterdir() if "net:[" in _target(link)),
        "firewall lines": len(listed.stdout.splitlines()),
        "files": sum(1 for _ in engine.settings.data.rglob("*")),
        "statuses": len(list((engine.settings.run / "exits").iterdir())),
        "daemon descriptors": open_fds(),
        "zygote descriptors": engine.zygote_fds(),
        "zygote children": len(engine.zygote_children()),
    }


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # the descriptor of the listing itself


async def come_and_go(engine: Engine, number: int, gate: asyncio.Semaphore) -> None:
    """One lab's life, with a terminal, a nested namespace and a paused state in some of them."""
    async with gate:
        lab = await engine.labs.create(f"leak-{number}")
        await engine.labs.terminal(lab, "lab", 24, 80)
        if number % 3 == 0:
            await engine.labs.run(lab, ["bash", "-c", "unshare -Urmpuf --mount-proc sleep 1000 & ip netns add x"])
        if number % 5 == 0:
            await engine.labs.pause(lab)
        if number % 7 == 0:
            await engine.labs.reset(lab)
        await engine.labs.remove(lab)


async def all_of_them(engine: Engine, count: int) -> None:
    """`count` labs, AT_ONCE at a time, and everything that follows behind them."""
    gate = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(come_and_go(engine, number, gate) for number in range(count)))
    await engine.network.drained()


def test_two_hundred_labs_leave_nothing(own_engine: Engine) -> None:
    """Namespaces, mounts, groups, links, disks, files, descriptors and processes are as many as before."""
    engine = own_engine
    engine.within(120, all_of_them(engine, AT_ONCE))
    before = census(engine)
    engine.within(240, all_of_them(engine, LABS))
    # The kernel ends network namespaces and loop devices behind our back: wait for it, then compare.
    grown: dict[str, tuple[int, int]] = {}

    def as_before() -> bool:
        after = census(engine)
        grown.clear()
        grown.update({name: (before[name], after[name]) for name in before if after[name] > before[name]})
        return not grown

    try:
        wait_for(as_before, 30)
    except AssertionError:
        pytest.fail(f"left behind (before, after): {grown}")
