"""Predicates against a real lab: each right action of lesson 03 passes, each wrong one says what it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.predicates import Result, evaluate
from tests.engine.minilab import MiniLab, mini_lab, until

pytestmark = pytest.mark.root

HOSTNAME = {"hostname": {"name": "box"}}
FIRST = {"first_process": {}}
OWN_PROC = {"own_proc": {}}
INSIDE = {"mount": {"target": "/mnt/t", "type": "tmpfs", "where": "own_only"}}
SPREAD = {"mount": {"target": "/mnt/S/a", "type": "tmpfs", "where": "both"}}
LO_UP = {"link": {"name": "lo", "up": True}}
MAP = {"id_map": {"uid": "0 * 1"}}
CLOCK = {"time_offset": {"clock": "boottime", "min": 3600}}
QUEUE = {"ipc_object": {"object": "msg", "where": "own_only"}}
KEPT = {"kept_namespace": {"kind": "uts", "by": "mount"}}
SIX = {"process_in_ns": {"differs": ["uts", "pid", "mnt", "ipc", "net", "user"], "nspid": 1, "own_proc": True}}
CGROUP = {"process_in_ns": {"differs": ["cgroup"], "cgroup": "/box"}}

SHARED = "mkdir /mnt/S; mount -t tmpfs S /mnt/S; mount --make-shared /mnt/S; mkdir /mnt/S/a\n"


@pytest.fixture
def lab(instance: str) -> Iterator[MiniLab]:
    """A lab with a shell on the terminal `lab`."""
    with mini_lab(instance) as made:
        made.spawn("bash", "--norc", "-i", terminal="lab")
        made.wait_for("bash")
        yield made


def check(lab: MiniLab, predicate: dict[str, Any]) -> Result:
    return evaluate(lab.observer.observe(), [predicate])[0]


@pytest.mark.parametrize(
    ("predicate", "typed"),
    [
        (HOSTNAME, "unshare -u bash --norc\nhostname box\n"),
        (FIRST, "unshare -pf bash --norc\n"),
        (OWN_PROC, "unshare -pfm bash --norc\nmount -t proc proc /proc\n"),
        (OWN_PROC, "unshare -pf --mount-proc bash --norc\n"),
        (INSIDE, "unshare -m bash --norc\nmkdir -p /mnt/t; mount -t tmpfs t /mnt/t\n"),
        (SPREAD, SHARED + "unshare -m --propagation unchanged bash --norc\nmount -t tmpfs leak /mnt/S/a\n"),
        (SPREAD, SHARED + "mount -t tmpfs early /mnt/S/a; unshare -m bash --norc\n"),
        (LO_UP, "unshare -n bash --norc\nip link set lo up\n"),
        (MAP, "unshare -Ur bash --norc\n"),
        (CLOCK, "unshare -T -f --boottime 86400 bash --norc\n"),
        (QUEUE, "unshare -i bash --norc\nipcmk -Q\n"),
        (KEPT, "mount --make-private /mnt; touch /mnt/f; unshare --uts=/mnt/f hostname kept\n"),
        (SIX, "unshare -Urpfmiun --mount-proc bash --norc\n"),
    ],
)
def test_the_right_action_passes(lab: MiniLab, predicate: dict[str, Any], typed: str) -> None:
    """It fails in a fresh lab and holds after what the lesson asks for."""
    assert not check(lab, predicate).ok
    lab.type("lab", typed)
    until(lambda: check(lab, predicate).ok)


@pytest.mark.parametrize(
    ("predicate", "typed", "code", "params"),
    [
        (HOSTNAME, "hostname box\n", "lab_renamed", {"hostname": "box"}),
        (HOSTNAME, "unshare -u bash --norc\nhostname bos\n", "hostname_other", {"hostname": "bos", "wanted": "box"}),
        (HOSTNAME, "hostname box; unshare -u bash --norc\n", "lab_renamed", {}),
        (FIRST, "unshare -p bash --norc\n", "child_outside", {"comm": "bash", "started": False}),
        (FIRST, "unshare -p bash --norc\n/bin/true\n", "child_outside", {"comm": "bash", "started": True}),
        (OWN_PROC, "unshare -pf bash --norc\nmount -t proc proc /proc\n", "lab_proc_covered", {}),
        (OWN_PROC, "unshare -pf bash --norc\nmount -t proc proc /proc\nexit\n", "lab_proc_covered", {}),
        (OWN_PROC, "unshare -pf bash --norc\n", "old_proc", {"have": ["pid"]}),
        (OWN_PROC, "unshare -pfm bash --norc\n", "old_proc", {"have": ["pid", "mnt"]}),
        (INSIDE, "mkdir -p /mnt/t; mount -t tmpfs t /mnt/t\n", "mount_on_lab", {"target": "/mnt/t"}),
        (INSIDE, "mkdir -p /mnt/t; mount -t tmpfs t /mnt/t; unshare -m bash --norc\n", "mount_in_both", {}),
        (INSIDE, "unshare -m bash --norc\n", "mount_nowhere", {}),
        (
            INSIDE,
            "unshare -m bash --norc\nmkdir -p /mnt/t; mount -t proc p /mnt/t\n",
            "mount_type_other",
            {"type": "proc"},
        ),
        (SPREAD, "unshare -m bash --norc\nmkdir -p /mnt/S/a; mount -t tmpfs x /mnt/S/a\n", "parent_private", {}),
        (LO_UP, "unshare -n bash --norc\n", "link_down", {"name": "lo"}),
        (LO_UP, "ip link set lo up\n", "no_own_ns", {"kind": "net"}),
        (MAP, "unshare -U bash --norc\n", "map_empty", {"file": "uid_map"}),
        (CLOCK, "unshare -T -f --boottime 5 bash --norc\n", "offset_other", {"offset": 5, "wanted": 3600}),
        (QUEUE, "ipcmk -Q\n", "ipc_on_lab", {"object": "msg"}),
        (QUEUE, "unshare -i bash --norc\n", "ipc_nowhere", {}),
        (KEPT, "unshare -u bash --norc\n", "kept_otherwise", {"kept_by": "process"}),
        (SIX, "unshare -pfmiun --mount-proc bash --norc\n", "kinds_missing", {"missing": ["user"]}),
        (CGROUP, "unshare -C bash --norc\n", "cgroup_other", {"cgroup": "/", "wanted": "/box"}),
    ],
)
def test_the_wrong_action_says_what_it_was(
    lab: MiniLab, predicate: dict[str, Any], typed: str, code: str, params: dict[str, Any]
) -> None:
    """Each has a code of its own, with what was seen."""
    lab.type("lab", typed)
    until(lambda: check(lab, predicate).code == code and params.items() <= check(lab, predicate).params.items())
    assert not check(lab, predicate).ok
