"""Observations made by hand, for tests of what is concluded from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.observe.model import LinkEntry, MountEntry, Namespace, Observation, Process
from engine.predicates import CODES, Result, evaluate

KINDS = ("user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time")
LAB = {kind: number for number, kind in enumerate(KINDS, 100)}
INIT_PID = 10


def process(number: int, comm: str = "bash", /, *, nspid: tuple[int, ...] | None = None, **own: Any) -> Process:
    """A process in the lab's namespaces but for those given as kind=inode; other words are attributes."""
    other = {word: own.pop(word) for word in ("cgroup", "children_pid_ns", "state") if word in own}
    return Process(
        pid=number,
        nspid=nspid or (number - 8,),
        ppid=INIT_PID,
        pgrp=number,
        session=number,
        comm=comm,
        argv=(comm,),
        state=other.get("state", "S"),
        uid=0,
        host_uid=0,
        start=number,
        tty=None,
        cgroup=other.get("cgroup", "/"),
        ns={**LAB, **own},
        children_pid_ns=other.get("children_pid_ns"),
        seccomp=2,
        cap_eff=0,
    )


def mount(
    id_: int, target: str, type_: str = "tmpfs", *, device: str = "0:50", parent: int = 1, **more: Any
) -> MountEntry:
    return MountEntry(
        id_, parent, device, "/", target, type_, type_, ("rw",), ("rw",), more.get("shared"), None, more.get("pid_ns")
    )


LAB_PROC = mount(2, "/proc", "proc", pid_ns=LAB["pid"])
ROOT = mount(1, "/", "overlay", parent=0)


def lab(
    *processes: Process,
    hostnames: Mapping[int, str] | None = None,
    mounts: Mapping[int, tuple[MountEntry, ...]] | None = None,
    links: Mapping[int, tuple[LinkEntry, ...]] | None = None,
    more: tuple[Namespace, ...] = (),
    ipc: Mapping[int, dict[str, int]] | None = None,
    maps: Mapping[int, tuple[tuple[int, int, int], ...]] | None = None,
    offsets: Mapping[int, dict[str, int]] | None = None,
) -> Observation:
    """An observation of a lab with its init, a shell, and these processes."""
    everyone = (process(INIT_PID, "init", nspid=(1,)), process(11), *processes)
    names = {LAB["uts"]: "lab", **(hostnames or {})}
    keys = dict.fromkeys((kind, inode) for one in everyone for kind, inode in one.ns.items())
    namespaces = tuple(
        Namespace(
            kind,
            inode,
            None,
            None,
            tuple(one.pid for one in everyone if one.ns.get(kind) == inode),
            "process",
            LAB[kind] == inode,
            hostname=names.get(inode, "lab") if kind == "uts" else None,
            uid_map=(maps or {}).get(inode, ()) if kind == "user" else None,
            gid_map=(maps or {}).get(inode, ()) if kind == "user" else None,
            time_offsets=(offsets or {}).get(inode, {}) if kind == "time" else None,
            ipc=(ipc or {}).get(inode, {"msg": 0, "shm": 0, "sem": 0}) if kind == "ipc" else None,
        )
        for kind, inode in keys
    )
    tables = {LAB["mnt"]: (ROOT, LAB_PROC), **(mounts or {})}
    return Observation("x", 1, 0.0, INIT_PID, LAB, everyone, (*namespaces, *more), tables, links or {}, ())


def check(observation: Observation, **predicate: Any) -> Result:
    """The result of one predicate, its parameters those that its code promises."""
    (result,) = evaluate(observation, [predicate])
    assert result.ok == (result.code == "ok")
    assert result.ok or set(result.params) == set(CODES[result.code])
    return result


def said(observation: Observation, **predicate: Any) -> str:
    return check(observation, **predicate).code
