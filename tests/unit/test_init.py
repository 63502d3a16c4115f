"""The small decisions of a container's first process, and the messages it speaks in."""

from __future__ import annotations

import os
import socket

import pytest

from engine.runtime import channel, init, zygote

PASSWD = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken line\n"
GROUP = "root:x:0:\nann:x:1000:\nwheel:x:10:ann,bob\nnumbers:x:20:bob\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("0", (0, 0, [], "/root")),
        ("ann", (1000, 1000, [10], "/home/ann")),
        ("1000", (1000, 1000, [10], "/home/ann")),
        ("4242", (4242, 0, [], "/")),
        ("ann:wheel", (1000, 10, [], "/home/ann")),
        ("7:77", (7, 77, [], "/")),
    ],
)
def test_find_user(user: str, expected: tuple[int, int, list[int], str]) -> None:
    """Users and groups are found by name and number, as Docker does."""
    assert init.find_user(user, PASSWD, GROUP) == expected


@pytest.mark.parametrize("user", ["nobody", "ann:nogroup", "x:0"])
def test_unknown_user(user: str) -> None:
    """A name that is in no file is an error that names it."""
    with pytest.raises(OSError, match=user.split(":")[0] if user != "ann:nogroup" else "nogroup"):
        init.find_user(user, PASSWD, GROUP)


def test_message_with_descriptors() -> None:
    """A message arrives whole, with its descriptors under their names, close-on-exec."""
    ours, theirs = channel.pair()
    read, write = os.pipe()
    channel.send(ours, {"op": "x", "bytes": b"\0\xff", "steps": [(1, "a", {})]}, {"pipe": write})
    received = channel.receive(theirs)
    assert received is not None
    message, fds = received
    assert message == {"op": "x", "bytes": b"\0\xff", "steps": [(1, "a", {})]}
    assert not os.get_inheritable(fds["pipe"])
    os.write(fds["pipe"], b"through")
    assert os.read(read, 10) == b"through"
    for fd in (read, write, fds["pipe"]):
        os.close(fd)
    ours.close()
    assert channel.receive(theirs) is None
    theirs.close()


def test_message_too_long() -> None:
    """A message over the bound is refused by its sender, before the kernel sees it."""
    ours, theirs = channel.pair()
    with pytest.raises(ValueError, match="over the bound"):
        channel.send(ours, {"op": "x", "data": b"x" * channel.MAX_BYTES})
    with pytest.raises(ValueError, match="over the bound"):
        channel.send(ours, {"op": "x"}, {str(number): 0 for number in range(channel.MAX_FDS + 1)})
    ours.close()
    theirs.close()


def test_keep_only() -> None:
    """A child closes what is not its own: all but the named descriptors and the first three."""
    pid = os.fork()
    if pid == 0:
        keep = os.open("/dev/null", os.O_RDONLY)
        for _ in range(20):
            os.dup(keep)
        high = os.dup(keep)
        zygote.keep_only({keep, high})
        left = [fd for fd in range(3, 200) if _is_open(fd)]
        os._exit(0 if left == sorted({keep, high}) else 1)
    assert os.waitpid(pid, 0)[1] == 0


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_zygote_stays_small() -> None:
    """What the zygote imports is little: it is forked for every container."""
    import subprocess
    import sys

    source = f"import sys; sys.path.insert(0, {os.getcwd()!r}); import engine.runtime.zygote; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True)
    heavy = {"asyncio", "json", "subprocess", "structlog", "dataclasses", "typing_extensions", "logging"}
    assert not heavy & set(done.stdout.split())


def test_socket_is_seqpacket() -> None:
    """Message borders are the kernel's."""
    ours, theirs = channel.pair()
    assert ours.type == socket.SOCK_SEQPACKET
    ours.close()
    theirs.close()
