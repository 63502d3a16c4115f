"""What must be so before `hako up` starts anything; else one sentence, and what to do.

The launcher has seen to Python and packages. Here: root, one supervisor at a time, the port, the disk, and whatever the
doctor (`engine/doctor/`) calls bad.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import time
from pathlib import Path

from engine.errors import BadInput, Conflict, Exhausted, Failed, Unsupported
from engine.settings import Settings

# How long the processes of a Hako that was killed may take to end: its daemon may be in the middle of a lab.
LEFT_S = 20.0
# The base images take about 180 MB and each lab writes a little even when idle.
ROOM = 512 * 1024 * 1024


def need_root() -> None:
    """Raises Unsupported where this process is not root."""
    if os.geteuid() != 0:
        raise Unsupported("Making containers needs root, and this is not root.", "Run ./hako up; it asks for sudo.")


def take_lock(path: Path, address: str, *, patience_s: float = LEFT_S) -> int:
    """Be the only supervisor of this run directory.

    The lock goes with whoever holds its descriptor: the supervisor and its children, so that after a `kill -9` of the
    one the next waits for the end of the others, which use the same sockets, groups and port. See flock(2).

    Args:
        path: the lock file; it holds the process number and the address of whoever has it.
        patience_s: how long to wait for what a killed supervisor has left.

    Returns:
        The descriptor that holds it; keep it open.

    Raises:
        Conflict: another has it.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline, told = time.monotonic() + patience_s, False
    while not _lock(fd):
        pid, _, where = os.pread(fd, 512, 0).decode(errors="replace").strip().partition(" ")
        killed = pid.isdigit() and not Path(f"/proc/{pid}").exists()
        if not killed or time.monotonic() > deadline:
            os.close(fd)
            raise _running(pid, where, killed=killed)
        if not told:
            print("hako: waiting for what is left of a Hako that was killed …", file=sys.stderr, flush=True)
        told = True
        time.sleep(0.05)  # nothing tells of the end of processes that are not ours
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()} {address}\n".encode(), 0)
    return fd


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _running(pid: str, where: str, *, killed: bool) -> Conflict:
    if killed:
        text = f"Hako was killed (it was process {pid}), but processes of it have not ended yet."
        return Conflict(
            text, "Look for `engine.daemon`, `web.serve` and `hako-zygote` in the output of ps, and end them."
        )
    return Conflict(
        f"Hako is running already, as process {pid or '?'}, at {where or 'an address not yet known'}.",
        "Open that address, or stop it first with Ctrl-C in its terminal.",
    )


def need_port(listen: str, port: int) -> None:
    """See that the address is free.

    Raises:
        BadInput: it is no address of this machine. Conflict: another program listens there.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(listen, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise BadInput(f"{listen} is not an address: {error.strerror}.", "Use e.g. --listen 127.0.0.1.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {port} of {listen} is in use by another program.",
                f"Stop that program, or choose another port: ./hako up --port {port + 1}",
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise BadInput(
                f"{listen} is not an address of this machine.", "`ip address` lists those it has."
            ) from error
        raise Failed(f"Cannot listen on {listen} port {port}: {error.strerror}.", "Choose another port.") from error


def need_machine(settings: Settings) -> None:
    """See that this kernel and machine can make labs at all.

    Raises:
        Unsupported: the first thing the doctor calls bad, and its cure.
    """
    from engine.doctor import judge
    from engine.doctor.facts import gather

    for verdict in judge(gather(settings)):
        if verdict.level == "bad":
            raise Unsupported(
                f"Hako cannot work here. {verdict.name[:1].upper()}{verdict.name[1:]}: {verdict.seen}.", verdict.cure
            )


def need_room(data: Path) -> None:
    """See that the data directory can be written and has room.

    Raises:
        Exhausted: the disk is nearly full. Failed: it cannot be written.
    """
    try:
        data.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Some file systems tell of a full disk only when a byte is really written.
        probe = data / ".probe"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
        found = os.statvfs(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(data, 0) from error
        raise Failed(
            f"The data directory {data} cannot be written: {error.strerror}.", "Choose another with --data DIR."
        ) from error
    free = found.f_bavail * found.f_frsize
    if free < ROOM:
        raise _full(data, free)


def _full(data: Path, free: int) -> Exhausted:
    return Exhausted(
        f"The disk of {data} is full: {free // 1_000_000} MB are free, {ROOM // 1_000_000} MB are needed.",
        "Make room, or choose another disk with --data DIR.",
    )
