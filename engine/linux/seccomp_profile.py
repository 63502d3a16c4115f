"""Which system calls a container may make: Docker's default profile and Hako's profile for a lab, as data.

A profile is an allow-list; everything else fails with EPERM. `profile` turns name and capabilities into rules without
touching the kernel or libseccomp (seccomp_compile.py does that, and skips names its libseccomp does not know).

Facts: moby's profiles/seccomp (names, and which come with which capability); man pages of the calls with conditions.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import BadInput
from engine.linux import capabilities
from engine.linux.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Allowed whatever the process holds.
ALWAYS: tuple[str, ...] = _words("""
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
    clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
    futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid
    getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
    getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt
    get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64
    ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
    lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek
    lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod
    mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
    munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv
    preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink
    readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
    renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity
    sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile
    sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
    setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
    setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat
    shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketpair splice stat
    stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
    ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid
    write writev
    process_vm_readv process_vm_writev ptrace
    """)

#: Allowed on one architecture only. 64-bit ARM lists what its 32-bit programs need.
BY_MACHINE: dict[str, tuple[str, ...]] = {
    "x86_64": ("arch_prctl", "modify_ldt"),
    "aarch64": ("arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls"),
}

#: Allowed to who holds the capability. Calls with a condition of their own (clone, clone3) are in `_clone_rules`.
BY_CAPABILITY: dict[str, tuple[str, ...]] = {
    "CAP_BPF": ("bpf",),
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at",),
    "CAP_PERFMON": ("perf_event_open",),
    "CAP_SYSLOG": ("syslog",),
    "CAP_SYS_ADMIN": _words("""
        bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
        perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
        """),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_CHROOT": ("chroot",),
    "CAP_SYS_MODULE": ("delete_module", "finit_module", "init_module"),
    "CAP_SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_madvise"),
    "CAP_SYS_RAWIO": ("ioperm", "iopl"),
    "CAP_SYS_TIME": ("clock_settime", "clock_settime64", "settimeofday", "stime"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
}

#: What a lab allows beyond that: the calls of the lessons and of an engine inside the lab.
LAB_ALSO: tuple[str, ...] = ("add_key", "keyctl", "open_tree_attr", "pivot_root", "request_key")

#: What a lab forbids although its root holds the capability: reach into the kernel that no lesson needs.
LAB_NEVER: frozenset[str] = frozenset(
    _words("""
    acct bpf clock_settime clock_settime64 delete_module fanotify_init finit_module init_module ioperm iopl
    lookup_dcookie nfsservctl open_by_handle_at perf_event_open quotactl quotactl_fd settimeofday stime syslog vhangup
    """)
)

#: personality(2): Linux, 32-bit, UNAME26, both, and "only tell me".
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

#: socket(2) domains. AF_ALG reaches the kernel's ciphers (CVE-2026-31431), AF_VSOCK the hypervisor (moby #44562),
#: AF_KEY and NETLINK_XFRM IPsec, which no lesson needs.
AF_KEY, AF_NETLINK, AF_ALG, AF_VSOCK, AF_MAX = 15, 16, 38, 40, 46
#: socketcall(2): 1 is socket, 20 the last, sendmmsg.
SOCKETCALLS = 20
NETLINK_XFRM, NETLINK_CRYPTO, NETLINK_MAX = 6, 21, 23

_NEW_NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
_INT = 0xFFFFFFFF


@dataclass(frozen=True)
class Equal:
    """A condition: argument number `arg`, looked at through `mask`, is `value`.

    Always masked: an int argument's upper half is whatever the caller left in the register and the kernel ignores it,
    so a plain comparison of 64 bits could be walked round.
    """

    arg: int
    value: int
    mask: int = _INT


@dataclass(frozen=True)
class Rule:
    """Allow a call (or refuse it with `errno` instead of EPERM) when all conditions hold."""

    name: str
    when: tuple[Equal, ...] = ()
    errno: int | None = None


@dataclass(frozen=True)
class Profile:
    """A filter before it is compiled.

    Attributes:
        rules: what is allowed.
        compat: whether 32-bit programs are let in. A lab does without: on x86 their socketcall(2) hides its arguments
            in memory, where a filter cannot look, and with them AF_ALG.
    """

    rules: tuple[Rule, ...]
    compat: bool


def profile(name: str, caps: int, machine: str) -> Profile:
    """The rules of profile `name` for a process that holds `caps` on `machine` (as in uname(2)).

    Raises:
        BadInput: no such profile.
    """
    held = capabilities.names(caps)
    names = [*ALWAYS, *BY_MACHINE.get(machine, ())]
    for capability in held:
        names += BY_CAPABILITY.get(capability, ())
    if name == "default":
        rules = [*_allow(names), *_socket_rules({AF_ALG, AF_VSOCK}, set())]
        # The old way of 32-bit programs, whose arguments lie in memory: for all it can do but making sockets, which
        # every libc since 2016 does by socket(2). Else AF_ALG would be had by it (CVE-2026-31431).
        rules += [Rule("socketcall", (Equal(0, call),)) for call in range(2, SOCKETCALLS + 1)]
        rules += _clone_rules(may_make_namespaces="CAP_SYS_ADMIN" in held)
    elif name == "lab":
        rules = _allow(call for call in [*names, *LAB_ALSO] if call not in LAB_NEVER)
        rules += _socket_rules({AF_ALG, AF_VSOCK, AF_KEY}, {NETLINK_XFRM, NETLINK_CRYPTO})
        rules += _clone_rules(may_make_namespaces=True)
    else:
        raise BadInput(f"There is no seccomp profile named {name!r}.", "There are: default, lab, unconfined.")
    rules += [Rule("personality", (Equal(0, persona),)) for persona in PERSONALITIES]
    return Profile(tuple(rules), compat=name == "default")


def _allow(names: Iterable[str]) -> list[Rule]:
    return [Rule(name) for name in dict.fromkeys(names)]


def _clone_rules(*, may_make_namespaces: bool) -> list[Rule]:
    if may_make_namespaces:
        return [Rule("clone"), Rule("clone3")]
    # The flags of clone3 lie in memory. ENOSYS sends every libc back to clone, whose flags can be seen.
    return [Rule("clone", (Equal(0, 0, _NEW_NAMESPACES),)), Rule("clone3", errno=errno.ENOSYS)]


def _socket_rules(denied: set[int], denied_netlink: set[int]) -> list[Rule]:
    """One rule a domain: an allow-list cannot say "all but these" about the lower half of an argument."""
    rules = []
    for domain in range(AF_MAX):
        if domain in denied:
            continue
        if domain == AF_NETLINK and denied_netlink:
            allowed = [protocol for protocol in range(NETLINK_MAX) if protocol not in denied_netlink]
            rules += [Rule("socket", (Equal(0, domain), Equal(2, protocol))) for protocol in allowed]
        else:
            rules.append(Rule("socket", (Equal(0, domain),)))
    return rules
