"""The doctor's judgement on machines that are well and machines that are not."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from engine.doctor import as_dict, judge, render
from engine.doctor.facts import Facts, parse_chains
from engine.doctor.report import summary
from engine.doctor.verdicts import NEEDED_NAMESPACES, Verdict, version

WELL = Facts(
    root=True,
    admin=True,
    kernel="6.12.9-amd64",
    machine="x86_64",
    python="3.13.5",
    namespaces=NEEDED_NAMESPACES,
    userns_limit=63_000,
    overlay="string",
    overlay_userxattr=True,
    mount_api=True,
    mount_setattr=True,
    data="/var/lib/hako",
    union="",
    drivers=(("overlay", True, "layers named by string"), ("aufs", False, "no AUFS"), ("vfs", True, "a copy")),
    free_bytes=50_000_000_000,
    cgroup="v2",
    controllers=("cpu", "cpuset", "io", "memory", "pids"),
    loop=True,
    disc="",
    package_tool="apt",
    rules="",
    wires="",
    forward_drops=(),
    uplinks=("eth0",),
    memory_bytes=8_000_000_000,
    available_bytes=6_000_000_000,
    ptys=4096,
    processors=4,
)


def verdict(name: str, **changes: Any) -> Verdict:
    """One verdict on the well machine with some facts changed."""
    return next(each for each in judge(replace(WELL, **changes)) if each.name == name)


def test_a_well_machine_has_nothing_to_do() -> None:
    """Every verdict is ok and has no cure; the sentence at the end says so."""
    verdicts = judge(WELL)
    assert [each for each in verdicts if each.level != "ok" or each.cure] == []
    assert summary(verdicts) == "Hako works here."


@pytest.mark.parametrize(
    ("name", "changes", "level", "seen", "cure"),
    [
        ("privilege", {"root": False, "admin": False}, "warn", "not root", "sudo"),
        ("privilege", {"admin": False}, "bad", "without CAP_SYS_ADMIN", "--privileged"),
        ("kernel", {"kernel": "4.18.0-553.el8"}, "bad", "4.18", "5.10"),
        ("kernel", {"machine": "riscv64"}, "bad", "riscv64", "x86_64"),
        ("python", {"python": "3.9.2"}, "bad", "3.9.2", "3.11"),
        ("system packages", {"packages": ("nftables", "catatonit")}, "warn", "nftables catatonit", "hako up"),
        ("system packages", {"packages": ("nftables",), "package_tool": ""}, "warn", "nftables", "by hand"),
        ("namespaces", {"namespaces": NEEDED_NAMESPACES[:-1]}, "warn", "no time", "left out"),
        ("namespaces", {"namespaces": ("mnt", "uts")}, "bad", "missing: ipc pid net user cgroup time", "kernel"),
        ("user namespaces", {"userns_limit": 0}, "bad", "is 0", "max_user_namespaces=65536"),
        ("user namespaces", {"userns_clone": False}, "warn", "unprivileged_userns_clone", "sysctl"),
        ("user namespaces", {"apparmor_userns": True}, "warn", "AppArmor", "apparmor_restrict_unprivileged_userns=0"),
        ("SELinux", {"selinux": "enforcing"}, "warn", "enforcing", "ausearch"),
        ("overlay", {"overlay": ""}, "bad", "no overlay", "modprobe overlay"),
        ("overlay", {"union": "is /data itself on overlay?"}, "bad", "itself on overlay", "--data"),
        ("layers", {"drivers": (("overlay", False, "no"), ("vfs", True, "a copy"))}, "warn", "overlay: no", "ext4"),
        ("overlay", {"overlay_userxattr": False}, "bad", "userxattr", "5.11"),
        ("mount API", {"mount_api": False}, "bad", "open_tree", "5.10"),
        ("mount API", {"kernel": "5.15.0"}, "bad", "overlay of id-mapped", "need Linux 5.19"),
        ("mount API", {"kernel": "5.10.0", "mount_setattr": False}, "bad", "mount_setattr", "need Linux 5.19"),
        ("cgroups", {"cgroup": ""}, "bad", "none mounted", "mount -t cgroup2"),
        ("cgroups", {"controllers": ("cpu", "pids")}, "bad", "v2: cpu pids", "Missing: memory"),
        ("loop devices", {"loop": False}, "bad", "loop-control", "modprobe loop"),
        ("live CD", {"disc": "mksquashfs is not installed"}, "warn", "mksquashfs", "squashfs-tools"),
        ("seccomp", {"seccomp": "libseccomp.so.2 could not be loaded"}, "bad", "libseccomp.so.2", "libseccomp2"),
        ("network", {"wires": None}, "warn", "needs root", "sudo"),
        ("network", {"wires": "this kernel has no bridges"}, "bad", "no bridges", "modprobe bridge"),
        ("network", {"rules": "nft is not installed"}, "bad", "not installed", "nftables"),
        ("way out", {"uplinks": ()}, "warn", "no default route", "labs do not need it"),
        ("way out", {"firewalld": True}, "warn", "firewalld", "--add-interface=hakoc0"),
        ("way out", {"ufw": True}, "warn", "ufw", "on hakoc0 out on eth0"),
        ("way out", {"forward_drops": ("ip filter FORWARD",)}, "warn", "ip filter FORWARD", "DOCKER-USER -i hakoc0"),
        ("way out", {"bridge": "classc0", "firewalld": True}, "warn", "firewalld", "classc0"),
        ("disk", {"free_bytes": 100_000_000}, "bad", "0.1 GB", "--data"),
        ("disk", {"free_bytes": 2_000_000_000}, "warn", "2.0 GB", "--data"),
        ("memory", {"available_bytes": 100_000_000}, "bad", "0.1 of 8.0", "Close something"),
        ("memory", {"available_bytes": 600_000_000}, "warn", "0.6 of 8.0", "25 MB"),
        ("terminals", {"ptys": 256}, "warn", "256", "kernel.pty.max"),
    ],
)
def test_an_ill_machine_is_told_what_was_seen_and_what_to_do(
    name: str, changes: dict[str, Any], level: str, seen: str, cure: str
) -> None:
    """One fact changed, one verdict: its level, what it saw, and a cure one can carry out."""
    found = verdict(name, **changes)
    assert found.level == level
    assert seen in found.seen
    assert cure in found.cure


def test_a_machine_about_which_nothing_is_known_is_still_judged() -> None:
    """All facts at their defaults: every judge answers, nothing is thrown, and whatever is not ok has a cure."""
    verdicts = judge(Facts())
    assert as_dict(verdicts)["ok"] is False
    assert [each.name for each in verdicts if each.level != "ok" and not each.cure] == []


def test_the_driver_is_told_with_its_reason_and_those_passed_over() -> None:
    """Which one lays layers over one another, and why not another."""
    seen = verdict("layers").seen
    assert seen == "overlay: layers named by string (not used: aufs: no AUFS; vfs: a copy)"
    assert verdict("layers", drivers=()).level == "ok"


def test_without_root_nothing_is_called_bad_that_was_not_looked_at() -> None:
    """What only root can try is a warning, so that `hako doctor` ends with 0 for an ordinary user on a good machine."""
    facts = replace(WELL, root=False, admin=False, union=None, rules=None, wires=None, forward_drops=None)
    verdicts = judge(replace(facts, overlay_userxattr=False))
    assert as_dict(verdicts)["ok"] is True


def test_the_report_says_in_words_what_its_colours_say() -> None:
    """On a console without colour each line has its word, and each cure an arrow."""
    out = io.StringIO()
    render(judge(replace(WELL, loop=False, ufw=True)), Console(file=out, width=100, color_system=None))
    lines = out.getvalue().splitlines()
    assert any(line.startswith("✗ bad") and "loop devices" in line for line in lines)
    assert any(line.startswith("! warn") and "way out" in line for line in lines)
    assert any("→ Lab disks need it: modprobe loop" in line for line in lines)
    assert lines[-1] == "Hako will not work here as it should: loop devices."


def test_for_programs_it_is_json() -> None:
    """Names, levels, what was seen, cures; and one word for all."""
    told = json.loads(json.dumps(as_dict(judge(replace(WELL, loop=False)))))
    assert told["ok"] is False
    assert {"name": "kernel", "level": "ok", "seen": "Linux 6.12.9-amd64, x86_64", "cure": ""} in told["verdicts"]


@pytest.mark.parametrize(
    ("text", "expected"), [("6.18.44-fc", (6, 18)), ("5.10", (5, 10)), ("", (0, 0)), ("x.y", (0, 0))]
)
def test_versions_are_numbers(text: str, expected: tuple[int, int]) -> None:
    """5.10 is newer than 5.9, which no comparison of texts would say."""
    assert version(text) == expected


def test_dockers_policy_is_found_and_our_own_is_not() -> None:
    """From `nft --json list chains`: chains on the forward hook that drop by default, other people's only."""
    chains = [
        {"metainfo": {"version": "1.0.6"}},
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
        {"chain": {"family": "ip6", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER"}},
        {"chain": {"family": "inet", "table": "hako", "name": "forward", "hook": "forward", "policy": "drop"}},
        {
            "chain": {
                "family": "inet",
                "table": "firewalld",
                "name": "filter_FORWARD",
                "hook": "forward",
                "policy": "accept",
            }
        },
    ]
    tables, drops = parse_chains(json.dumps({"nftables": chains}).encode(), "hako")
    assert tables == ("filter", "firewalld")
    assert drops == ("ip filter FORWARD",)
