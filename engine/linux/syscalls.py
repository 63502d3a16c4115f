"""The system calls the engine makes: one function per call, and the only place that talks to the kernel through ctypes.

Each function takes what the man page names, in its order, and turns errno into an OSError whose text begins with the
call: `OSError: [Errno 1] mount(overlay, /merged): Operation not permitted`. Nothing here decides anything.

The zygote imports this file before it forks for every container, so it imports only what it cannot do without.
Numbers of calls that came after Linux 5.0 are the same on every architecture; the few older ones without a libc
wrapper are in `_OLD`. See syscalls(2) and each call's own page in section 2 of the manual.
"""

from __future__ import annotations

import ctypes
import os

# clone(2), unshare(2), setns(2): the eight namespaces and the flags beside them.
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PARENT = 0x00008000
CLONE_PIDFD = 0x00001000
CLONE_INTO_CGROUP = 0x200000000

# mount(2), umount2(2)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 4096, 8192, 16384, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2

# open_tree(2), move_mount(2), fsconfig(2), fsmount(2), mount_setattr(2)
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_SET_FD, FSCONFIG_CMD_CREATE = 0, 1, 5, 6
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x00100000

# openat2(2)
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 2, 4, 8, 16

# prctl(2)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP = 1, 4, 8, 23, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_NAME = 36, 38, 47, 15
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4

# seccomp(2)
SECCOMP_SET_MODE_FILTER = 1

_OLD = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "seccomp": 317, "bpf": 321},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "seccomp": 277, "bpf": 280},
}[os.uname().machine]

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _fail(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def _bytes(text: str | bytes | None) -> bytes | None:
    return text if text is None or isinstance(text, bytes) else os.fsencode(text)


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


class _CloneArgs(ctypes.Structure):
    """struct clone_args of clone3(2)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack"),
            *("stack_size", "tls", "set_tid", "set_tid_size", "cgroup"),
        )
    ]


def clone3(flags: int, *, exit_signal: int = 17, cgroup_fd: int = -1) -> tuple[int, int]:
    """clone3(2) without a new stack: like fork, with namespaces.

    Args:
        flags: CLONE_*; CLONE_PIDFD is added unless CLONE_PARENT is there (the pidfd would belong to the wrong process).
        exit_signal: the signal the parent gets; must be 0 with CLONE_PARENT.
        cgroup_fd: a v2 group's directory for CLONE_INTO_CGROUP, or -1.

    Returns:
        (0, -1) in the child, (pid, pidfd) in the parent; pidfd is -1 with CLONE_PARENT.

    The caller must be single-threaded. In the child Python's own after-fork work is done before this returns.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(flags=flags, exit_signal=exit_signal)
    if not flags & CLONE_PARENT:
        args.flags |= CLONE_PIDFD
        args.pidfd = ctypes.addressof(pidfd)
    if cgroup_fd >= 0:
        args.flags |= CLONE_INTO_CGROUP
        args.cgroup = cgroup_fd
    pid = _syscall(_long(435), ctypes.byref(args), _long(ctypes.sizeof(args)))
    if pid < 0:
        raise _fail(f"clone3({flags:#x})")
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0, -1
    return int(pid), pidfd.value


def unshare(flags: int) -> None:
    """unshare(2)."""
    if _libc.unshare(flags) < 0:
        raise _fail(f"unshare({flags:#x})")


def setns(fd: int, nstype: int = 0) -> None:
    """setns(2); with a pidfd, `nstype` says which of its namespaces (Linux 5.8)."""
    if _libc.setns(fd, nstype) < 0:
        raise _fail(f"setns(fd {fd}, {nstype:#x})")


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    if _syscall(_long(_OLD["pivot_root"]), _bytes(new_root), _bytes(put_old)) < 0:
        raise _fail(f"pivot_root({new_root}, {put_old})")


def mount(source: str | None, target: str, fstype: str | None, mountflags: int, data: str | None = None) -> None:
    """mount(2)."""
    if _libc.mount(_bytes(source), _bytes(target), _bytes(fstype), ctypes.c_ulong(mountflags), _bytes(data)) < 0:
        raise _fail(f"mount({source or fstype}, {target})")


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(_bytes(target), flags) < 0:
        raise _fail(f"umount2({target})")


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """open_tree(2); with OPEN_TREE_CLONE the fd holds a detached copy of the mount. Linux 5.2."""
    fd = _syscall(_long(428), _long(dirfd), _bytes(path), _long(flags | OPEN_TREE_CLOEXEC))
    if fd < 0:
        raise _fail(f"open_tree({path})")
    return int(fd)


def move_mount(from_dirfd: int, from_path: str, to_dirfd: int, to_path: str, flags: int) -> None:
    """move_mount(2). Linux 5.2."""
    args = (_long(from_dirfd), _bytes(from_path), _long(to_dirfd), _bytes(to_path), _long(flags))
    if _syscall(_long(429), *args) < 0:
        raise _fail(f"move_mount(fd {from_dirfd}, {to_path or f'fd {to_dirfd}'})")


def fsopen(fsname: str) -> int:
    """fsopen(2). Linux 5.2."""
    fd = _syscall(_long(430), _bytes(fsname), _long(FSOPEN_CLOEXEC))
    if fd < 0:
        raise _fail(f"fsopen({fsname})")
    return int(fd)


def fsconfig(fd: int, cmd: int, key: str | None = None, value: str | None = None, aux: int = 0) -> None:
    """fsconfig(2); what the file system logged about a failure is part of the error."""
    if _syscall(_long(431), _long(fd), _long(cmd), _bytes(key), _bytes(value), _long(aux)) < 0:
        error = _fail(f"fsconfig({key or 'create'}{'=' + value if value else ''})")
        said = _fs_context_log(fd)
        raise OSError(error.errno, f"{error.strerror}{': ' + said if said else ''}")


def _fs_context_log(fd: int) -> str:
    """What a file system context has to say: one message a read(2), ENODATA when there is none."""
    try:
        return os.read(fd, 512).decode(errors="replace").strip()
    except OSError:
        return ""


def fsmount(fd: int, attr_flags: int = 0) -> int:
    """fsmount(2): the detached mount of a configured context. Linux 5.2."""
    mnt = _syscall(_long(432), _long(fd), _long(FSMOUNT_CLOEXEC), _long(attr_flags))
    if mnt < 0:
        raise _fail("fsmount")
    return int(mnt)


class _MountAttr(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def mount_setattr(
    dirfd: int, path: str, flags: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0, userns_fd: int = 0
) -> None:
    """mount_setattr(2). Linux 5.12."""
    attr = _MountAttr(attr_set, attr_clr, propagation, userns_fd)
    size = _long(ctypes.sizeof(attr))
    if _syscall(_long(442), _long(dirfd), _bytes(path), _long(flags), ctypes.byref(attr), size) < 0:
        raise _fail(f"mount_setattr({path or f'fd {dirfd}'}, set {attr_set:#x})")


class _OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


def openat2(dirfd: int, path: str, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2). Linux 5.6."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    fd = _syscall(_long(437), _long(dirfd), _bytes(path), ctypes.byref(how), _long(ctypes.sizeof(how)))
    if fd < 0:
        raise _fail(f"openat2({path})")
    return int(fd)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    """close_range(2). Linux 5.9."""
    if _syscall(_long(436), _long(first), _long(last), _long(flags)) < 0:
        raise _fail(f"close_range({first})")


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2)."""
    result = _libc.prctl(option, *(ctypes.c_ulong(arg) for arg in (arg2, arg3, arg4, arg5)))
    if result < 0:
        raise _fail(f"prctl({option}, {arg2})")
    return int(result)


def set_name(name: str) -> None:
    """prctl(PR_SET_NAME): what `ps` shows as comm, 15 bytes."""
    _libc.prctl(PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)), 0, 0, 0)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2), version 3: three masks of 64 capabilities."""
    low = 0xFFFFFFFF
    masks = (effective, permitted, inheritable)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(*(mask & low for mask in masks), *(mask >> 32 for mask in masks))
    if _libc.capset(header, data) < 0:
        raise _fail(f"capset({permitted:#x})")


def seccomp(operation: int, flags: int, filters: bytes) -> None:
    """seccomp(2) with SECCOMP_SET_MODE_FILTER: `filters` is an array of struct sock_filter, 8 bytes each."""
    buffer = ctypes.create_string_buffer(filters, len(filters))

    class _SockFprog(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    program = _SockFprog(len(filters) // 8, ctypes.addressof(buffer))
    if _syscall(_long(_OLD["seccomp"]), _long(operation), _long(flags), ctypes.byref(program)) < 0:
        raise _fail("seccomp")


def bpf_load(prog_type: int, instructions: bytes) -> int:
    """bpf(2), BPF_PROG_LOAD: `instructions` is an array of struct bpf_insn, 8 bytes each; the program's fd."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license = ctypes.create_string_buffer(b"Apache-2.0")
    # union bpf_attr for this command: prog_type, insn_cnt, insns, license, then zeros
    attr = ctypes.create_string_buffer(
        prog_type.to_bytes(4, "little")
        + (len(instructions) // 8).to_bytes(4, "little")
        + ctypes.addressof(code).to_bytes(8, "little")
        + ctypes.addressof(license).to_bytes(8, "little"),
        72,
    )
    fd = _syscall(_long(_OLD["bpf"]), _long(5), attr, _long(72))
    if fd < 0:
        raise _fail("bpf(BPF_PROG_LOAD)")
    return int(fd)


def bpf_attach(target_fd: int, program_fd: int, attach_type: int, flags: int) -> None:
    """bpf(2), BPF_PROG_ATTACH: have a program run for what `target_fd`, a v2 group, holds."""
    words = (target_fd, program_fd, attach_type, flags)
    attr = ctypes.create_string_buffer(b"".join(word.to_bytes(4, "little") for word in words), 16)
    if _syscall(_long(_OLD["bpf"]), _long(8), attr, _long(16)) < 0:
        raise _fail(f"bpf(BPF_PROG_ATTACH, fd {target_fd})")


def join_session_keyring(name: str) -> None:
    """keyctl(KEYCTL_JOIN_SESSION_KEYRING), so that a container does not see the keys of who started it."""
    if _syscall(_long(_OLD["keyctl"]), _long(1), _bytes(name)) < 0:
        raise _fail(f"keyctl(join {name})")


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = os.fsencode(name)
    if _libc.sethostname(raw, ctypes.c_size_t(len(raw))) < 0:
        raise _fail(f"sethostname({name})")


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    raw = os.fsencode(name)
    if _libc.setdomainname(raw, ctypes.c_size_t(len(raw))) < 0:
        raise _fail(f"setdomainname({name})")


def tee(fd_in: int, fd_out: int, length: int) -> int:
    """tee(2), non-blocking: copy from pipe to pipe without taking."""
    copied = _libc.tee(fd_in, fd_out, ctypes.c_size_t(length), 2)
    if copied < 0:
        raise _fail(f"tee({fd_in}, {fd_out})")
    return int(copied)


def pidfd_open(pid: int) -> int:
    """pidfd_open(2). Linux 5.3."""
    fd = _syscall(_long(434), _long(pid), _long(0))
    if fd < 0:
        raise _fail(f"pidfd_open({pid})")
    return int(fd)


def pidfd_getfd(pidfd: int, targetfd: int) -> int:
    """pidfd_getfd(2). Linux 5.6."""
    fd = _syscall(_long(438), _long(pidfd), _long(targetfd), _long(0))
    if fd < 0:
        raise _fail(f"pidfd_getfd({targetfd})")
    return int(fd)


def pidfd_send_signal(pidfd: int, signum: int) -> None:
    """pidfd_send_signal(2). Linux 5.1."""
    if _syscall(_long(424), _long(pidfd), _long(signum), None, _long(0)) < 0:
        raise _fail(f"pidfd_send_signal({signum})")
