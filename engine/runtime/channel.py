"""Messages with file descriptors between the daemon, the zygote and the children it forks.

One message is one SOCK_SEQPACKET packet: a dict in Python's own marshal format (both ends are the same program, and the
zygote must not import more than it has to) and up to `MAX_FDS` descriptors beside it (unix(7), SCM_RIGHTS). The names
of the descriptors travel in the message under `fds`, in their order.

Nothing here waits: sockets are the caller's to make blocking or not.
"""

from __future__ import annotations

import array
import marshal
import os
import socket
from typing import Any

#: A start request carries a seccomp program (some 20 KB) and steps; the kernel's default socket buffer is 208 KiB.
MAX_BYTES = 160 * 1024
#: SCM_MAX_FD is 253; a lab needs layers, disk, /dev and a few more.
MAX_FDS = 64

Message = dict[str, Any]


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, both close-on-exec: when a child's last copy closes, its execve(2) has happened."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, message: Message, fds: dict[str, int] | None = None) -> None:
    """Send one message.

    Raises:
        ValueError: the message is over MAX_BYTES or carries over MAX_FDS descriptors.
        OSError: of sendmsg(2); BlockingIOError when a non-blocking socket is full.
    """
    fds = fds or {}
    payload = marshal.dumps({**message, "fds": list(fds)})
    if len(payload) > MAX_BYTES or len(fds) > MAX_FDS:
        raise ValueError(f"message of {len(payload)} bytes and {len(fds)} descriptors is over the bound")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds.values()))] if fds else []
    sock.sendmsg([payload], rights)


def receive(sock: socket.socket) -> tuple[Message, dict[str, int]] | None:
    """Receive one message.

    Returns:
        (message, descriptors by name), the descriptors close-on-exec and the caller's to close; None at the end.

    Raises:
        OSError: of recvmsg(2); BlockingIOError when there is nothing to read yet.
        ValueError: the packet was cut short; its descriptors are closed.
    """
    space = socket.CMSG_SPACE(MAX_FDS * 4)
    payload, ancillary, flags, _ = sock.recvmsg(MAX_BYTES + 1, space, socket.MSG_CMSG_CLOEXEC)
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(list(received))
        raise ValueError("a message was cut short by its receiver's bounds")
    if not payload:
        return None
    message: Message = marshal.loads(payload)
    return message, dict(zip(message.pop("fds"), received, strict=True))


def close_all(fds: list[int]) -> None:
    """Close descriptors; one that is closed already is a bug elsewhere and is not hidden here."""
    for fd in fds:
        os.close(fd)
