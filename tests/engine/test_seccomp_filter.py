"""Compiled filters at work in a real forked child."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.linux import capabilities, seccomp, syscalls

pytestmark = pytest.mark.root

libc = ctypes.CDLL(None, use_errno=True)


def under(filters: bytes, work: Callable[[], object], caps: int | None = None) -> str:
    """What `work` returned, or its errno's name, in a forked child with the filter (and only these capabilities)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "died"
        try:
            seccomp.install(filters)
            if caps is not None:
                capabilities.apply(caps, caps, caps)
            said = str(work())
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException as error:
            said = repr(error)
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def raw(number: int, *args: int) -> Callable[[], int]:
    """A system call by number; raises OSError."""

    def call() -> int:
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(arg) for arg in args))
        if result < 0:
            raise OSError(ctypes.get_errno(), "syscall")
        return int(result)

    return call


DEFAULT = seccomp.compile_profile("default", capabilities.DEFAULT)
LAB = seccomp.compile_profile("lab", capabilities.LAB)

CLONE3, IO_URING_SETUP, MSEAL_LIKE = 435, 425, 999
# Calls from before Linux 5.0 have other numbers on each architecture: socket, clone, perf_event_open, bpf.
SOCKET, CLONE, PERF_EVENT_OPEN, BPF = {"x86_64": (41, 56, 298, 321), "aarch64": (198, 220, 241, 280)}[
    os.uname().machine
]


def test_ordinary_work_goes_on_under_the_default_profile() -> None:
    """Files, pipes, forks and a TCP socket work."""

    def work() -> str:
        with socket.socket(socket.AF_INET), open("/etc/hostname", "rb"):
            pid = os.fork()
            if pid == 0:
                os._exit(7)
            return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    assert under(DEFAULT, work) == "7"


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda: syscalls.unshare(syscalls.CLONE_NEWUSER), "EPERM"),
        (lambda: syscalls.mount("none", "/mnt", "tmpfs", 0), "EPERM"),
        (lambda: syscalls.sethostname("x"), "EPERM"),
        (raw(CLONE3, 0, 0), "ENOSYS"),
        (lambda: syscalls.clone3(0), "ENOSYS"),
        (raw(MSEAL_LIKE), "ENOSYS"),
        (raw(IO_URING_SETUP, 0, 0), "EPERM"),
        (lambda: socket.socket(40, socket.SOCK_STREAM).close(), "EPERM"),  # AF_VSOCK
        (lambda: socket.socket(38, socket.SOCK_SEQPACKET).close(), "EPERM"),  # AF_ALG
        (lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(), "None"),
    ],
)
def test_default_profile_refuses(work: Callable[[], object], expected: str) -> None:
    """What Docker's profile refuses to a container without CAP_SYS_ADMIN, with the errno it gives."""
    assert under(DEFAULT, work) == expected


def test_upper_half_of_an_int_argument_is_no_way_round() -> None:
    """socket(AF_ALG) with rubbish above 32 bits is refused too, since the kernel ignores the rubbish."""
    assert under(DEFAULT, raw(SOCKET, (1 << 32) | 38, 5, 0)) == "EPERM"
    assert under(DEFAULT, raw(SOCKET, (1 << 32) | 1, 1, 0)).isdigit()


def test_clone_with_a_namespace_flag_is_refused_and_without_is_not() -> None:
    """The classic clone is looked at flag by flag."""
    assert under(DEFAULT, raw(CLONE, syscalls.CLONE_NEWUTS | 17, 0, 0, 0, 0)) == "EPERM"
    assert under(DEFAULT, lambda: os.waitpid(raw(CLONE, 17, 0, 0, 0, 0)() or os._exit(0), 0)[1]) == "0"


def test_sys_admin_opens_what_it_opens_in_docker() -> None:
    """With CAP_SYS_ADMIN the same profile lets mount, unshare and clone3 through."""
    filters = seccomp.compile_profile("default", capabilities.tweak(capabilities.DEFAULT, ["SYS_ADMIN"]))
    assert under(filters, lambda: syscalls.unshare(syscalls.CLONE_NEWUTS)) == "None"
    assert under(filters, raw(CLONE3, 0, 0)) == "EINVAL"


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda: syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS), "None"),
        (raw(CLONE3, 0, 0), "EINVAL"),
        (lambda: syscalls.pivot_root("/nowhere", "/nowhere"), "ENOENT"),
        (lambda: os.close(syscalls.fsopen("tmpfs")), "None"),
        (lambda: syscalls.join_session_keyring("hako-test"), "None"),
        (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(), "None"),
        (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6).close(), "EPERM"),  # NETLINK_XFRM
        (lambda: socket.socket(15, socket.SOCK_RAW, 2).close(), "EPERM"),  # AF_KEY
        (lambda: socket.socket(38, socket.SOCK_SEQPACKET).close(), "EPERM"),
        (raw(PERF_EVENT_OPEN, 0, 0, 0, 0, 0), "EPERM"),
        (raw(IO_URING_SETUP, 0, 0), "EPERM"),
        (raw(BPF, 0, 0, 0), "EPERM"),
    ],
)
def test_lab_profile_lets_lessons_through_and_no_more(work: Callable[[], object], expected: str) -> None:
    """A lab's root makes namespaces and mounts; the kernel's big attack surfaces stay shut."""
    assert under(LAB, work) == expected


def test_filter_installs_without_privilege_only_after_no_new_privs() -> None:
    """Without CAP_SYS_ADMIN and without no_new_privs the kernel answers EACCES."""

    def after_dropping(no_new_privs: bool) -> Callable[[], object]:
        def work() -> object:
            capabilities.apply(0, 0, 0)
            if no_new_privs:
                syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            return seccomp.install(DEFAULT)

        return work

    assert under(b"", after_dropping(False)) == "EACCES"
    assert under(b"", after_dropping(True)) == "None"


def test_unconfined_is_no_filter() -> None:
    """Empty bytes, and installing them changes nothing."""
    assert seccomp.compile_profile("unconfined", 0) == b""
    assert under(b"", raw(IO_URING_SETUP, 0, 0)) != "EPERM"


def test_cache_gives_the_same_filter_and_mends_a_torn_file(tmp_path: Path) -> None:
    """The second compile reads the file; a damaged file is made anew instead of installed."""
    cache = tmp_path / "seccomp"
    first = seccomp.compile_profile("default", capabilities.DEFAULT, cache=str(cache))
    (file,) = cache.iterdir()
    assert first == DEFAULT == seccomp.compile_profile("default", capabilities.DEFAULT, cache=str(cache))
    file.write_bytes(file.read_bytes()[:-8])
    assert seccomp.compile_profile("default", capabilities.DEFAULT, cache=str(cache)) == DEFAULT
    assert len(file.read_bytes()) == len(DEFAULT) + 32
    seccomp.compile_profile("default", capabilities.ALL, cache=str(cache))
    assert len(list(cache.iterdir())) == 2
