"""The doctor looks at this machine and leaves it as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.doctor import judge
from engine.doctor.facts import gather
from engine.linux import netns, syscalls
from engine.linux.rtnetlink import Route
from engine.settings import Settings
from tests.engine.wires import namespace, run

pytestmark = pytest.mark.root


def test_this_machine_is_well_enough(tmp_path: Path, instance: str) -> None:
    """The tests run here, so nothing may be bad; and what was tried was really tried."""
    facts = gather(Settings(instance=instance, data=tmp_path / "not" / "there", run=tmp_path))
    assert [verdict for verdict in judge(facts) if verdict.level == "bad"] == []
    assert (facts.wires, facts.rules, facts.union) == ("", "", "")
    assert [name for name, _, _ in facts.drivers] == ["overlay", "aufs", "vfs"]


def test_looking_leaves_nothing(tmp_path: Path, instance: str) -> None:
    """No fd, no link, no file, no table."""

    def state() -> object:
        with Route() as route:
            # Other engines of this machine come and go meanwhile; the doctor's own trial has this name.
            links = [link.name for link in route.links() if link.name.startswith(("trial", instance))]
        return links, len(os.listdir("/proc/self/fd")), os.listdir(tmp_path), os.readlink("/proc/self/ns/net")

    settings = Settings(instance=instance, data=tmp_path, run=tmp_path)
    gather(settings)  # the first time opens libraries and the like
    before = state()
    gather(settings)
    assert state() == before


def test_a_host_whose_firewall_does_not_forward_is_recognised(tmp_path: Path, instance: str) -> None:
    """A chain as Docker makes it, in a network namespace that plays the host."""
    settings = Settings(instance=instance, data=tmp_path, run=tmp_path)
    with namespace() as host:
        run(
            host,
            "nft",
            "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
        )
        facts = netns.run_inside(host, lambda: gather(settings))
    assert facts.forward_drops == ("ip filter FORWARD",)
    assert facts.uplinks == ()


def test_a_data_directory_on_overlay_is_no_obstacle(tmp_path: Path) -> None:
    """Where upper directories cannot lie, the engine keeps them on an image of its own: the doctor must not refuse."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    syscalls.mount("overlay", str(tmp_path / "merged"), "overlay", 0, options)
    try:
        assert gather(Settings(data=tmp_path / "merged")).union == ""
        assert gather(Settings(data=tmp_path / "upper")).union == ""
    finally:
        syscalls.umount2(str(tmp_path / "merged"))
