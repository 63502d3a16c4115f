"""Network namespaces: made and entered by a thread that never comes back.

setns(2) and unshare(2) move one thread, and every socket keeps the namespace of the thread that made it. So the way
into a network namespace from a program with many threads is a thread of its own: it enters, does its work or opens a
socket, and ends. It need not find its way home, so it cannot fail to, and no other thread is ever in the wrong
network. A thread costs about 0.1 ms. See network_namespaces(7), setns(2).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from engine.linux import syscalls
from engine.linux.rtnetlink import Route

T = TypeVar("T")

# Entering waits for the kernel's list of namespaces, which a mass destruction holds for tens of milliseconds.
DEADLINE_S = 20.0


def run_inside(netns: int | None, work: Callable[[], T]) -> T:
    """Run `work` in a new thread that has joined a network namespace.

    Args:
        netns: an fd on the namespace; None makes a new, empty one.
        work: what to do there; it must not keep the thread for long.

    Raises:
        TimeoutError: after DEADLINE_S; the thread is left to itself.
        BaseException: whatever `work` raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def thread() -> None:
        try:
            if netns is None:
                syscalls.unshare(syscalls.CLONE_NEWNET)
            else:
                syscalls.setns(netns, syscalls.CLONE_NEWNET)
            results.append(work())
        except BaseException as error:  # carried to the caller's thread, where it is raised
            errors.append(error)

    runner = threading.Thread(target=thread, name="netns", daemon=True)
    runner.start()
    runner.join(DEADLINE_S)
    if runner.is_alive():
        raise TimeoutError(f"network namespace: work in it did not end within {DEADLINE_S:.0f} s")
    if errors:
        raise errors[0]
    return results[0]


def open_here() -> int:
    """An fd on the network namespace of the calling thread."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def open_of(pid: int) -> int:
    """An fd on the network namespace of a process."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def open_route(netns: int) -> Route:
    """A netlink socket inside a network namespace, for use from here."""
    return run_inside(netns, Route)


def set_sysctls(values: dict[str, str]) -> None:
    """Write files below /proc/sys/net as the calling thread sees them: those of its own network namespace.

    Args:
        values: `ipv4/ip_forward`: `1`, and so on. A file this kernel does not have is passed over (no IPv6, say).
    """
    for name, value in values.items():
        try:
            fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
