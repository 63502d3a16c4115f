"""Parsers of /proc, on text as kernels print it and on text made to mislead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.linux import procfs
from engine.linux.idmap import IdMap

STATUS = b"""Name:\tevil\\nUid:\\t0
Umask:\t0022
State:\tS (sleeping)
Tgid:\t4242
Pid:\t4242
PPid:\t4000
Uid:\t1000000000\t1000000001\t1000000002\t1000000003
Gid:\t5\t6\t7\t8
NStgid:\t4242\t17\t1
NSpid:\t4242\t17\t1
CapInh:\t0000000000000000
CapPrm:\t000001ffffffffff
CapEff:\t00000000a80425fb
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t1
"""


def test_status_fields() -> None:
    """Effective ids, pids from the reader's namespace inwards, capabilities as numbers."""
    status = procfs.parse_status(STATUS)
    assert (status.state, status.ppid, status.uids[1], status.gids) == ("S", 4000, 1_000_000_001, (5, 6, 7, 8))
    assert (status.nspid, status.cap_effective, status.cap_permitted) == ((4242, 17, 1), 0xA80425FB, 0x1FFFFFFFFFF)
    assert (status.no_new_privs, status.seccomp) == (True, 2)


def test_status_is_not_misled_by_a_process_name() -> None:
    """The kernel escapes a newline in comm, so `Uid:` in it is no line of its own."""
    assert procfs.parse_status(STATUS).name == "evil\\nUid:\\t0"


def test_status_of_a_kernel_built_without_some_fields() -> None:
    """What is missing is 0 or empty, not an error."""
    status = procfs.parse_status(b"Name:\tx\nState:\tZ (zombie)\n")
    assert (status.state, status.uids, status.nspid, status.seccomp) == ("Z", (0, 0, 0, 0), (), 0)


@pytest.mark.parametrize("comm", [b"sh", b"a b", b") S 1 1 (", b"(x)", b"\xff\xfe", b""])
def test_stat_with_any_comm(comm: bytes) -> None:
    """comm is the process's to choose: brackets, blanks and bytes that are no text."""
    tail = b" ".join(str(number).encode() for number in range(8, 60))
    stat = procfs.parse_stat(b"4242 (" + comm + b") S 4000 4242 4001 34816 4243 " + tail)
    assert (stat.pid, os.fsencode(stat.comm), stat.state, stat.ppid) == (4242, comm, "S", 4000)
    assert (stat.pgrp, stat.session, stat.tty_nr, stat.tpgid, stat.starttime) == (4242, 4001, 34816, 4243, 21)


def test_mountinfo_fields_and_escapes() -> None:
    """Peer groups, escaped blanks and backslashes, and any number of optional fields."""
    text = (
        b"36 35 98:0 /mnt1 /mnt\\0402\\134 rw,noatime shared:1 master:2 propagate_from:3 - ext3 /dev/root rw,errors=x\n"
        b"37 36 0:4 uts:[4026532177] /f rw - nsfs nsfs rw\n"
        b"38 36 0:5 / /u rw unbindable - tmpfs a\\011b rw,size=4k\n"
    )
    first, second, third = procfs.parse_mountinfo(text)
    assert (first.id, first.parent, first.device, first.root, first.target) == (36, 35, "98:0", "/mnt1", "/mnt 2\\")
    assert (first.shared, first.master, first.unbindable) == (1, 2, False)
    assert (first.type, first.source, first.super_options) == ("ext3", "/dev/root", ("rw", "errors=x"))
    assert (second.root, second.type, second.shared) == ("uts:[4026532177]", "nsfs", None)
    assert third.unbindable and third.source == "a\tb"


def test_mountinfo_cut_short_loses_only_its_last_line() -> None:
    """A table longer than what is read ends in the middle of a line."""
    line = b"36 35 98:0 / /x rw - tmpfs none rw\n"
    assert len(procfs.parse_mountinfo(line * 3 + line[:20])) == 3


def test_cgroup_file_of_a_hybrid_host() -> None:
    """Controllers mounted together, a named tree, the v2 tree as "", and a path with a colon."""
    groups = procfs.parse_cgroup(b"5:cpu,cpuacct:/a\n2:name=systemd:/s\n0::/b:c\n")
    assert groups == {"cpu": "/a", "cpuacct": "/a", "name=systemd": "/s", "": "/b:c"}


def test_timens_offsets() -> None:
    """Whole seconds; they may be negative."""
    assert procfs.parse_timens_offsets(b"monotonic           0         0\nboottime      -86400  0\n") == {
        "monotonic": 0,
        "boottime": -86400,
    }


def test_readers_on_a_proc_of_files(tmp_path: Path) -> None:
    """Every reader takes another place than /proc."""
    folder = tmp_path / "7"
    (folder / "ns").mkdir(parents=True)
    for kind, inode in (("uts", 1), ("pid", 2)):
        (folder / "ns" / kind).symlink_to(f"{kind}:[{inode}]")
    for file, content in {
        "cmdline": b"sh\0-c\0echo \xff\0",
        "uid_map": b" 0 1000 1\n",
        "gid_map": b"",
        "cgroup": b"0::/x\n",
        "mountinfo": b"1 0 0:1 / / rw - tmpfs none rw\n",
    }.items():
        (folder / file).write_bytes(content)
    proc = str(tmp_path)
    assert procfs.cmdline(7, proc) == ("sh", "-c", os.fsdecode(b"echo \xff"))
    assert procfs.cmdline(7, proc, limit=2) == ("sh",)
    assert procfs.uid_map(7, proc) == (IdMap(0, 1000, 1),) and procfs.gid_map(7, proc) == ()
    assert procfs.namespaces(7, proc) == {"uts": 1, "pid": 2}
    assert procfs.namespace(7, "uts", proc) == 1
    assert procfs.timens_offsets(7, proc) == {}
    assert procfs.cgroup(7, proc) == {"": "/x"} and procfs.mountinfo(7, proc)[0].target == "/"


@pytest.mark.parametrize(
    "reader", [procfs.stat, procfs.status, procfs.namespaces, procfs.timens_offsets, procfs.uid_map]
)
def test_process_that_ended_is_gone(reader: object, tmp_path: Path) -> None:
    """One family of errors says so, whichever file was asked for."""
    with pytest.raises(procfs.Gone):
        reader(7, str(tmp_path))  # type: ignore[operator]


def test_own_process_is_read_true() -> None:
    """The kernel's own files, against what os says."""
    pid = os.getpid()
    assert procfs.stat(pid).ppid == procfs.status(pid).ppid == os.getppid()
    assert procfs.status(pid).uids[0] == os.getuid()
    assert procfs.stat(pid).session == os.getsid(0)
    assert procfs.namespace(pid, "uts") == os.stat("/proc/self/ns/uts").st_ino
