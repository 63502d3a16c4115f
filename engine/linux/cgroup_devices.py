"""Which devices the processes of a cgroup may open: an allow-list, whatever nodes they can make.

A container's root is the machine's root and may make nodes (CAP_MKNOD is among Docker's capabilities): with
`mknod sda b 8 0` it would have the machine's disk. What stands between is this list. On cgroup v1 it is the devices
controller's files; v2 has none, there a small BPF program, attached to the group, is asked at each open(2) and
mknod(2). Making a node is always allowed, as with Docker: what counts is opening it.

`program` is pure. See cgroups(7), bpf(2), Documentation/admin-guide/cgroup-v1/devices.rst and cgroup-v2.rst, "Device
controller"; struct bpf_cgroup_dev_ctx in linux/bpf.h.
"""

from __future__ import annotations

import functools
import os
import struct
from pathlib import Path

from engine.linux import syscalls
from engine.linux.cgroup_files import write

#: (kind, major, minor): kind is "c" or "b"; a minor of None stands for all.
Device = tuple[str, int, int | None]

_PROG_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE, _F_ALLOW_MULTI = 15, 6, 2
_BLOCK, _CHARACTER, _ACCESS_MKNOD = 1, 2, 1
_KINDS = {"b": _BLOCK, "c": _CHARACTER}

# struct bpf_insn: code, registers (source << 4 | destination), offset, immediate.
_INSN = struct.Struct("=BBhi")
_LOAD_WORD, _MOVE, _MOVE_NUMBER, _AND, _SHIFT_RIGHT = 0x61, 0xBC, 0xB4, 0x54, 0x74
_JUMP_NOT_EQUAL, _EXIT = 0x55, 0x95
_RETURN_0 = (_MOVE_NUMBER, 0, 0, 0), (_EXIT, 0, 0, 0)
_RETURN_1 = (_MOVE_NUMBER, 0, 0, 1), (_EXIT, 0, 0, 0)


def program(devices: tuple[Device, ...]) -> bytes:
    """The BPF program that lets these devices be opened, and every node be made."""
    steps = [
        (_LOAD_WORD, 0x12, 0, 0),  # r2 = access_type: how << 16 | kind
        (_LOAD_WORD, 0x14, 4, 0),  # r4 = major
        (_LOAD_WORD, 0x15, 8, 0),  # r5 = minor
        (_MOVE, 0x23, 0, 0),
        (_SHIFT_RIGHT, 3, 0, 16),  # r3 = how
        (_AND, 2, 0, 0xFFFF),  # r2 = kind
        (_JUMP_NOT_EQUAL, 3, 2, _ACCESS_MKNOD),
        *_RETURN_1,
    ]
    for kind, major, minor in devices:
        tests = [(2, _KINDS[kind]), (4, major), *([] if minor is None else [(5, minor)])]
        for number, (register, value) in enumerate(tests):
            skip = len(tests) - number - 1 + len(_RETURN_1)
            steps.append((_JUMP_NOT_EQUAL, register, skip, value))
        steps += _RETURN_1
    steps += _RETURN_0
    return b"".join(_INSN.pack(*step) for step in steps)


def allow_v1(path: Path, devices: tuple[Device, ...]) -> None:
    """Write the list to a group of the devices controller's tree; the group must have no groups below it yet."""
    write(path / "devices.deny", "a")
    for line in ("c *:* m", "b *:* m"):
        write(path / "devices.allow", line)
    for kind, major, minor in devices:
        write(path / "devices.allow", f"{kind} {major}:{'*' if minor is None else minor} rwm")


def allow_v2(path: Path, devices: tuple[Device, ...]) -> None:
    """Attach the program to a group of the v2 tree; it goes with the group."""
    group = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.bpf_attach(group, _loaded(devices), _ATTACH_CGROUP_DEVICE, _F_ALLOW_MULTI)
    finally:
        os.close(group)


@functools.lru_cache(maxsize=8)
def _loaded(devices: tuple[Device, ...]) -> int:
    """The program's fd, kept for good: before Linux 5.11 each one loaded counts against RLIMIT_MEMLOCK."""
    return syscalls.bpf_load(_PROG_TYPE_CGROUP_DEVICE, program(devices))
