"""seccomp(2): a filter that says which system calls a process and its children may make.

`install` puts a filter on the calling process; it runs in the zygote's freshly forked child, so this file imports only
our system calls. `compile_profile` makes the filter, in the daemon, before anything is forked; the work is in
seccomp_compile.py and what is allowed in seccomp_profile.py.
"""

from __future__ import annotations

from engine.linux import syscalls

#: Without it, kernels before 5.16 turn speculative store bypass off in every filtered process, a cost that buys nothing
#: here; runc sets it too.
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4


def install(filters: bytes) -> None:
    """Put a filter on the calling thread, for good: it can be narrowed afterwards, never widened.

    Args:
        filters: an array of struct sock_filter as `compile_profile` makes it; empty bytes install nothing.

    Raises:
        OSError: EACCES without CAP_SYS_ADMIN in the process's user namespace and without no_new_privs: a process that
            gives CAP_SYS_ADMIN up installs before that, one with no_new_privs as the very last thing before execve.
    """
    if filters:
        syscalls.seccomp(syscalls.SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filters)


def compile_profile(profile: str, caps: int, *, cache: str | None = None) -> bytes:
    """The filter of a profile, as bytes for `install`. For the daemon: it imports and it may take milliseconds.

    Args:
        profile: "default" (Docker's), "lab" (what a lab's root may do) or "unconfined" (empty bytes).
        caps: the capabilities the process will hold; some calls are only allowed together with one.
        cache: directory that keeps compiled filters under the digest of what they were made from.

    Raises:
        BadInput: no such profile.
        Unsupported: libseccomp.so.2 is not installed.
    """
    from engine.linux import seccomp_compile  # not at the top: the zygote has no use for it

    return seccomp_compile.compile_profile(profile, caps, cache)
