"""Predicates about mounts, System V objects, links, answers and commands, on made-up observations."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import BadInput
from engine.observe.model import LinkEntry, MountEntry, Observation
from engine.predicates import Result, command_result, evaluate, is_external
from tests.unit.made_up_lab import LAB, LAB_PROC, ROOT, check, lab, mount, process, said

OWN = process(20, mnt=401, net=402, ipc=403)
HERE, THERE, ELSEWHERE = mount(5, "/t"), mount(6, "/t"), mount(7, "/t", device="0:99")


@pytest.mark.parametrize(
    ("on_lab", "inside", "where", "code"),
    [
        ((), (), "own_only", "mount_nowhere"),
        ((), (THERE,), "own_only", "ok"),
        ((HERE,), (), "own_only", "mount_on_lab"),
        ((HERE,), (THERE,), "own_only", "mount_in_both"),
        ((HERE,), (), "lab", "ok"),
        ((), (THERE,), "lab", "mount_only_inside"),
        ((HERE,), (THERE,), "both", "ok"),
        ((HERE,), (ELSEWHERE,), "both", "parent_private"),
        ((), (THERE,), "both", "parent_private"),
        ((), (), "none", "ok"),
        ((HERE,), (), "none", "mount_still_there"),
        ((), (THERE,), "none", "mount_still_there"),
        ((), (mount(6, "/t", "proc"),), "own_only", "mount_type_other"),
    ],
)
def test_mount_in_every_place(
    on_lab: tuple[MountEntry, ...], inside: tuple[MountEntry, ...], where: str, code: str
) -> None:
    """The tables of the lab and of the learner's namespaces, asked for each place."""
    observation = lab(OWN, mounts={LAB["mnt"]: (ROOT, LAB_PROC, *on_lab), 401: (ROOT, *inside)})
    assert said(observation, mount={"target": "/t", "type": "tmpfs", "where": where}) == code


def test_mount_without_an_own_table_says_so() -> None:
    """Nobody can see something "only inside" before there is an inside."""
    for where in ("own_only", "both"):
        assert check(lab(), mount={"target": "/t", "where": where}).params == {"kind": "mnt"}
    both = {"target": "/t", "where": "both"}
    assert said(lab(mounts={LAB["mnt"]: (ROOT, HERE)}), mount=both) == "no_own_ns"


def test_mount_on_a_shared_parent_that_is_missing_on_one_side() -> None:
    """The reason is not privacy, so the place is told."""
    shared = mount(1, "/", "overlay", parent=0, shared=1)
    both = {"target": "/t", "where": "both"}
    assert said(lab(OWN, mounts={LAB["mnt"]: (shared, HERE), 401: (shared,)}), mount=both) == "mount_on_lab"
    assert said(lab(OWN, mounts={LAB["mnt"]: (shared,), 401: (shared, THERE)}), mount=both) == "mount_only_inside"


def test_target_may_have_a_star() -> None:
    """For lessons that do not say where."""
    observation = lab(OWN, mounts={401: (ROOT, mount(6, "/root/x/t"))})
    assert check(observation, mount={"target": "/root/*", "type": "tmpfs", "where": "own_only"}).ok


def test_shared_mount() -> None:
    """It must be there, uppermost, and in a peer group."""
    asked = {"target": "/S"}
    assert said(lab(), mount_shared=asked) == "mount_nowhere"
    assert said(lab(mounts={LAB["mnt"]: (ROOT, mount(5, "/S"))}), mount_shared=asked) == "mount_private"
    assert check(lab(mounts={LAB["mnt"]: (ROOT, mount(5, "/S", shared=7))}), mount_shared=asked).ok
    covered = (ROOT, mount(5, "/S", shared=7), mount(6, "/S", parent=5))
    assert said(lab(mounts={LAB["mnt"]: covered}), mount_shared=asked) == "mount_private"


@pytest.mark.parametrize(
    ("outer", "inner", "where", "code"),
    [
        (0, 1, "own_only", "ok"),
        (1, 0, "own_only", "ipc_on_lab"),
        (1, 1, "own_only", "ipc_in_both"),
        (0, 0, "own_only", "ipc_nowhere"),
        (1, 1, "both", "ok"),
        (0, 1, "lab", "ipc_only_inside"),
        (1, 1, "lab", "ok"),
        (0, 1, "none", "ipc_still_there"),
        (0, 0, "none", "ok"),
    ],
)
def test_ipc_objects_in_every_place(outer: int, inner: int, where: str, code: str) -> None:
    """Counted in the lab's namespace and in the learner's."""
    observation = lab(OWN, ipc={LAB["ipc"]: {"msg": outer}, 403: {"msg": inner}})
    assert said(observation, ipc_object={"object": "msg", "where": where}) == code


def test_link_up_down_absent_and_alone() -> None:
    """In one of the learner's network namespaces, or in the lab's."""
    down, up, eth = (LinkEntry(name, "x", on, (), None) for name, on in (("lo", False), ("lo", True), ("eth0", True)))

    def having(*links: LinkEntry) -> Observation:
        return lab(OWN, links={LAB["net"]: (up, eth), 402: links})

    assert said(having(), link={"name": "lo"}) == "link_absent"
    assert said(having(down), link={"name": "lo", "up": True}) == "link_down"
    assert said(having(up), link={"name": "lo", "up": False}) == "link_up"
    assert check(having(up, eth), link={"name": "lo", "only": True}).params == {"names": ["eth0"]}
    assert check(having(up), link={"name": "lo", "up": True, "only": True}).params == {"inode": 402}
    assert check(having(), link={"name": "eth0", "where": "lab"}).ok


def answered(given: dict[str, Any], **args: Any) -> Result:
    box = process(20, "sleep", pid=301, uts=201, nspid=(12, 1))
    observation = lab(box, hostnames={201: "box"})
    return evaluate(observation, [{"answer": {"name": "q", **args}}], given)[0]


def test_answers_are_compared_with_the_kernel() -> None:
    """By the numbers as the lab host sees them, by those inside, by inode with or without its kind, by name."""
    of = {"differs": ["pid"], "nspid": 1}
    assert answered({"q": "12"}, **{"is": "lab_pid", "of": of}).ok
    assert answered({"q": " 12 \n"}, **{"is": "lab_pid", "of": of}).ok
    assert answered({"q": "1"}, **{"is": "lab_pid", "of": of}).code == "answer_inside"
    assert answered({"q": 13}, **{"is": "lab_pid", "of": of}).params == {"name": "q", "given": "13"}
    assert answered({"q": "1"}, **{"is": "inside_pid", "of": of}).ok
    for given in ("201", "uts:[201]"):
        assert answered({"q": given}, **{"is": "inode", "kind": "uts", "of": of}).ok
    assert answered({"q": "box"}, **{"is": "hostname", "of": of}).ok
    assert answered({}, **{"is": "hostname", "of": of}).code == "answer_missing"
    assert answered({"q": "1"}, **{"is": "lab_pid", "of": {"comm": "nobody"}}).code == "no_process"


def test_fixed_answers_forgive_case_and_blanks() -> None:
    """`equals` compares text."""
    assert answered({"q": " PID "}, equals="pid").ok
    assert answered({"q": "net"}, equals="pid").code == "answer_wrong"
    assert answered({"q": "65536"}, equals=65536).ok


def test_any_of_holds_if_one_does_and_else_speaks_through_the_last() -> None:
    """In their order."""
    observation = lab(process(20, uts=201), hostnames={201: "box"})
    right, wrong = {"hostname": {"name": "box"}}, {"first_process": {}}
    assert check(observation, any_of=[wrong, right]).ok and check(observation, any_of=[right, wrong]).ok
    assert check(observation, any_of=[{"hostname": {"name": "x"}}, wrong]).params == {"kind": "pid"}


def test_command_is_the_callers_and_its_end_is_judged_here() -> None:
    """By exit status and, if asked, by what it printed; output is cut."""
    command = {"command": {"script": "true", "contains": "yes"}}
    assert is_external(command) and not is_external({"own_proc": {}})
    assert command_result(command, 0, "oh yes").ok
    assert command_result(command, 0, "no").code == "command_failed"
    failed = command_result({"command": {"argv": ["x"], "status": 3}}, 1, "y" * 5000)
    assert failed.params["status"] == 1 and len(failed.params["output"]) == 400
    with pytest.raises(BadInput, match="caller"):
        evaluate(lab(), [command])
