"""The eight namespaces: their names, flags, age, and how one is made, kept, joined and mapped.

A namespace is a set of answers the kernel gives to the processes in it: which hostname, which mounts, which process
numbers. It lives as long as a process is in it, an fd is open on it, or a bind mount holds its file. See namespaces(7)
and the page of each kind; user_namespaces(7) for the maps, time_namespaces(7) for the offsets.

Imported by the zygote, so it needs nothing but `os`. It does not decide who gets which namespace (see runtime/plan.py).
"""

from __future__ import annotations

import os

from engine.linux import syscalls

# kind: (flag of clone(2), name below /proc/PID/ns, first kernel that had it whole)
KINDS: dict[str, tuple[int, str, str]] = {
    "mnt": (syscalls.CLONE_NEWNS, "mnt", "2.4.19"),
    "uts": (syscalls.CLONE_NEWUTS, "uts", "2.6.19"),
    "ipc": (syscalls.CLONE_NEWIPC, "ipc", "2.6.19"),
    "pid": (syscalls.CLONE_NEWPID, "pid", "2.6.24"),
    "net": (syscalls.CLONE_NEWNET, "net", "2.6.29"),
    "user": (syscalls.CLONE_NEWUSER, "user", "3.8"),
    "cgroup": (syscalls.CLONE_NEWCGROUP, "cgroup", "4.6"),
    "time": (syscalls.CLONE_NEWTIME, "time", "5.6"),
}


def flags(kinds: list[str]) -> int:
    """The CLONE_NEW* flags of these kinds, or-ed together; KeyError for a kind the kernel does not have."""
    total = 0
    for kind in kinds:
        total |= KINDS[kind][0]
    return total


def available() -> list[str]:
    """The kinds this kernel knows, from /proc/self/ns."""
    here = os.listdir("/proc/self/ns")
    return [kind for kind, (_, name, _) in KINDS.items() if name in here]


def unshare(kinds: list[str]) -> None:
    """Move the calling process into new namespaces of these kinds; see unshare(2).

    `pid` and `time` do not move the caller: its next child will be the first one inside.
    """
    syscalls.unshare(flags(kinds))


def enter(pidfd: int, kinds: list[str]) -> None:
    """Join the namespaces of another process, all in one setns(2) with its pidfd (Linux 5.8).

    The kernel joins the user namespace first, whatever the order of `kinds`, so that the others are allowed.
    """
    syscalls.setns(pidfd, flags(kinds))


def open_file(pid: int, kind: str) -> int:
    """An fd on a namespace of a process: it keeps the namespace alive and can be joined later."""
    return os.open(f"/proc/{pid}/ns/{KINDS[kind][1]}", os.O_RDONLY | os.O_CLOEXEC)


def inode(pid: int | str, kind: str) -> int:
    """The number that names a namespace everywhere (`uts:[4026531838]`): the inode of its file."""
    return os.stat(f"/proc/{pid}/ns/{KINDS[kind][1]}").st_ino


def write_id_maps(pid: int, uid_map: str, gid_map: str) -> None:
    """Write the two maps of a user namespace, once and for ever; see user_namespaces(7).

    Args:
        pid: a process in the new user namespace.
        uid_map: lines of "inside outside count".
        gid_map: the same for groups.

    The kernel takes each map in one write(2) and refuses a second one. The caller must hold CAP_SETUID and CAP_SETGID
    in the parent user namespace; without them only one's own id can be mapped, after `deny` was written to setgroups.
    """
    for name, text in (("uid_map", uid_map), ("gid_map", gid_map)):
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
