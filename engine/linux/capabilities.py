"""Capabilities: root's power cut into 41 pieces. See capabilities(7).

Holds the names, the sets Hako gives (`DEFAULT`, `LAB`), the arithmetic of `--cap-add` and `--cap-drop`, and `apply`,
which leaves the calling process with exactly the sets it is given. A set is an int, bit N being capability N.

The zygote imports this file, and `apply` runs in its freshly forked child: nothing here but os and our system calls.
It does not change ids: that is between `drop_bounding` and `apply`, in the caller's hands.
"""

from __future__ import annotations

import os

from engine.errors import BadInput
from engine.linux import syscalls


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: In the kernel's order (include/uapi/linux/capability.h): the index is the number.
NAMES: tuple[str, ...] = _words("""
    CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
    CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER
    CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE
    CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP
    CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF
    CAP_CHECKPOINT_RESTORE
    """)

_NUMBERS = {name: number for number, name in enumerate(NAMES)}
ALL = (1 << len(NAMES)) - 1


def mask(names: tuple[str, ...] | list[str]) -> int:
    """The set of these capabilities.

    Args:
        names: `CAP_KILL` or `kill`, in any case; `ALL` stands for every one.

    Raises:
        BadInput: no such capability.
    """
    bits = 0
    for name in names:
        word = name.upper()
        if word == "ALL":
            bits |= ALL
            continue
        number = _NUMBERS.get(word if word.startswith("CAP_") else "CAP_" + word)
        if number is None:
            raise BadInput(
                f"There is no capability named {name!r}.", "capabilities(7) lists them; write e.g. NET_ADMIN."
            )
        bits |= 1 << number
    return bits


def names(bits: int) -> tuple[str, ...]:
    """The names of the capabilities in a set, in the kernel's order; a bit we have no name for is `CAP_<number>`."""
    return tuple(
        NAMES[number] if number < len(NAMES) else f"CAP_{number}"
        for number in range(bits.bit_length())
        if bits >> number & 1
    )


#: What Docker gives a container's root.
DEFAULT: int = mask(
    _words("""
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
    AUDIT_WRITE
    """)
)

#: What a learner's root has inside the lab's user namespace. The missing ones mean nothing there or only widen what of
#: the kernel can be reached. SYS_TIME stays: it cannot set the clock there, and `unshare -T` needs it.
LAB: int = ALL & ~mask(
    _words("""
    SYS_MODULE SYS_RAWIO MAC_ADMIN MAC_OVERRIDE AUDIT_CONTROL AUDIT_READ AUDIT_WRITE SYSLOG WAKE_ALARM BLOCK_SUSPEND
    BPF PERFMON CHECKPOINT_RESTORE
    """)
)


def tweak(
    base: int,
    add: tuple[str, ...] | list[str] = (),
    drop: tuple[str, ...] | list[str] = (),
    *,
    everything: int = ALL,
) -> int:
    """Docker's arithmetic of `--cap-add` and `--cap-drop`.

    Names added win over `--cap-drop ALL`; names dropped win over `--cap-add ALL`; named in both: dropped.

    Args:
        base: what there is without a word.
        add, drop: the words.
        everything: what ALL adds: `held()` where the engine itself has not every capability, as in a container.
    """
    named_add = mask([name for name in add if name.upper() != "ALL"])
    named_drop = mask([name for name in drop if name.upper() != "ALL"])
    if any(name.upper() == "ALL" for name in drop):
        return named_add & ~named_drop
    start = everything if any(name.upper() == "ALL" for name in add) else base
    return (start | named_add) & ~named_drop


def held() -> int:
    """The bounding set of this process: what it can ever give away. Read from /proc/self/status."""
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 16384)
    finally:
        os.close(fd)
    return int(text.split(b"CapBnd:", 1)[1].split(None, 1)[0], 16)


def drop_bounding(bounding: int) -> None:
    """Take everything but `bounding` out of the bounding set; needs CAP_SETPCAP for what is really dropped.

    What is out already is skipped, so it can be called again by a process that no longer has CAP_SETPCAP. The kernel is
    asked, not /proc/self/status: in a lab that file may be the learner's.
    """
    for number in range(64):
        if bounding >> number & 1:
            continue
        try:
            present = syscalls.prctl(syscalls.PR_CAPBSET_READ, number)
        except OSError:
            return  # EINVAL: past the last capability this kernel knows
        if present:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)


def keep_over_setuid() -> None:
    """Let the permitted set survive a change to a user other than 0; the effective set is emptied all the same."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)


def apply(bounding: int, permitted: int, effective: int, inheritable: int = 0, ambient: int = 0) -> None:
    """Give the calling thread these sets and no more; in the child, last before seccomp and execve.

    To run as a user other than 0: `drop_bounding`, `keep_over_setuid`, setgroups, setresgid, setresuid, then this.
    Inheritable stays empty unless asked for: a full one gave files' capabilities to anyone (CVE-2022-24769).
    Ambient capabilities must be in both `permitted` and `inheritable`.

    Raises:
        OSError: prctl(2) or capset(2): EPERM when a set asks for more than the process has.
    """
    drop_bounding(bounding)
    syscalls.capset(effective, permitted, inheritable)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        if ambient >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
