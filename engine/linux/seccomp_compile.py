"""Compile a seccomp profile to the BPF program the kernel takes, through libseccomp. See seccomp_rule_add(3).

For the daemon only. Compiling costs milliseconds, so the bytes are kept in memory and, if asked, on disk under the
digest of all that went into them; containers then start with a ready filter.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import Failed, Unsupported
from engine.linux import seccomp_profile
from engine.linux.seccomp_profile import Profile, Rule

_ACT_ALLOW = 0x7FFF0000
_ACT_ERRNO = 0x00050000
_CMP_MASKED_EQ = 7
_ATTR_ACT_BADARCH, _ATTR_CTL_OPTIMIZE = 2, 8
_ERROR_NOT_FOUND = -1  # __NR_SCMP_ERROR

# linux/audit.h: how struct seccomp_data names an architecture, and how libseccomp does (the same numbers, but for x32).
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COMPAT = {"x86_64": (0x40000003, 0x4000003E), "aarch64": (0x40000028,)}  # i386 and x32; 32-bit ARM

# struct sock_filter of linux/filter.h: code, jump if true, jump if false, operand.
_BPF = struct.Struct("=HBBI")
_LD_ABS, _JEQ, _JGE, _JGT, _RET = 0x20, 0x15, 0x35, 0x25, 0x06
_DATA_NR, _DATA_ARCH = 0, 4
_X32_BIT = 0x40000000

# Grows when this file would make other bytes of the same profile.
_REVISION = 1


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


class _Version(ctypes.Structure):
    """struct scmp_version."""

    _fields_ = [(name, ctypes.c_uint) for name in ("major", "minor", "micro")]


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise Unsupported(
            f"libseccomp.so.2 could not be loaded: {error}.",
            "Install libseccomp2 (Debian, Ubuntu) or libseccomp (Fedora).",
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Compare),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_version.restype = ctypes.POINTER(_Version)
    return library


def compile_profile(name: str, caps: int, cache: str | None) -> bytes:
    """See seccomp.compile_profile."""
    if name == "unconfined":
        return b""
    machine = os.uname().machine
    if machine not in _ARCH:
        raise Unsupported(f"There are no seccomp profiles for {machine}.", "Hako knows x86_64 and aarch64.")
    if cache is None:
        return _compile(seccomp_profile.profile(name, caps, machine), machine)
    return _through_cache(Path(cache), name, caps, machine)


@functools.lru_cache(maxsize=64)
def _made_from(name: str, caps: int, machine: str) -> str:
    """The digest of all that decides what a filter will be; remembered, since writing 400 rules out takes a while."""
    version = _library().seccomp_version().contents
    wanted = seccomp_profile.profile(name, caps, machine)
    made_from = (_REVISION, machine, version.major, version.minor, version.micro, wanted)
    return hashlib.sha256(repr(made_from).encode()).hexdigest()


def _through_cache(cache: Path, name: str, caps: int, machine: str) -> bytes:
    file = cache / f"{_made_from(name, caps, machine)}.bpf"
    try:
        kept = file.read_bytes()
    except FileNotFoundError:
        kept = b""
    # A torn file is not a filter: the kernel would refuse the length, or worse, take it.
    if kept[:32] == hashlib.sha256(kept[32:]).digest() and len(kept) > 32:
        return kept[32:]
    filters = _compile(seccomp_profile.profile(name, caps, machine), machine)
    cache.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.write_bytes(hashlib.sha256(filters).digest() + filters)
    os.replace(fresh, file)
    return filters


@functools.lru_cache(maxsize=64)
def _compile(wanted: Profile, machine: str) -> bytes:
    library = _library()
    with _context(library) as context:
        _check(library.seccomp_attr_set(context, _ATTR_ACT_BADARCH, _ACT_ERRNO | errno.EPERM), "seccomp_attr_set")
        # A binary tree instead of a chain of 400 comparisons; libseccomp before 2.5 has no such attribute.
        library.seccomp_attr_set(context, _ATTR_CTL_OPTIMIZE, 2)
        if wanted.compat:
            for arch in _COMPAT[machine]:
                _check(library.seccomp_arch_add(context, arch), "seccomp_arch_add")
        highest = 0
        for rule in wanted.rules:
            highest = max(highest, _add(library, context, rule))
        return _newer_calls_are_enosys(machine, highest) + _export(library, context)


@contextmanager
def _context(library: ctypes.CDLL) -> Iterator[int]:
    context = library.seccomp_init(_ACT_ERRNO | errno.EPERM)
    if not context:
        raise Failed("seccomp_init returned no filter.", "The machine may be out of memory.")
    try:
        yield context
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, rule: Rule) -> int:
    """Add one rule; the call's number here, 0 for a name this libseccomp or architecture does not have."""
    number = int(library.seccomp_syscall_resolve_name(rule.name.encode()))
    if number == _ERROR_NOT_FOUND:
        return 0
    action = _ACT_ALLOW if rule.errno is None else _ACT_ERRNO | rule.errno
    compares = (_Compare * max(1, len(rule.when)))(
        *(_Compare(equal.arg, _CMP_MASKED_EQ, equal.mask, equal.value) for equal in rule.when)
    )
    _check(
        library.seccomp_rule_add_array(context, action, number, len(rule.when), compares),
        f"seccomp_rule_add({rule.name})",
    )
    # A negative number stands for a call that only other architectures of the filter have.
    return max(0, number)


def _export(library: ctypes.CDLL, context: int) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        _check(library.seccomp_export_bpf(context, fd), "seccomp_export_bpf")
        file.seek(0)
        return file.read()


def _newer_calls_are_enosys(machine: str, highest: int) -> bytes:
    """A head for the filter: calls newer than any the profile knows fail with ENOSYS instead of EPERM.

    A libc takes ENOSYS for "this kernel is older" and goes another way; at EPERM it gives up, and programs built next
    year would break under a profile written today. runc does the same.
    """
    skip = 6  # past this head
    steps = [
        (_LD_ABS, 0, 0, _DATA_ARCH),
        (_JEQ, 0, skip - 2, _ARCH[machine]),
        (_LD_ABS, 0, 0, _DATA_NR),
        (_JGE, skip - 4, 0, _X32_BIT),
        (_JGT, 0, 1, highest),
        (_RET, 0, 0, _ACT_ERRNO | errno.ENOSYS),
    ]
    return b"".join(_BPF.pack(*step) for step in steps)


def _check(result: int, call: str) -> None:
    if result < 0:
        raise Failed(f"{call}: {os.strerror(-result)}.", "This libseccomp may be older than 2.4.")
