"""A published port, as a container engine makes it: a host with a relay on its loopback, the machine behind a veth.

The machine's server sees its gateway as the one that asks, whoever it is: that is what `docker run -p` does to a page.
The host is a network namespace of its own, so no address here can get in the way of one that this machine has. Run as a
program, this is the relay that stands there.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.setup.debian_root import Machine

GATEWAY, MACHINE = "192.0.2.1", "192.0.2.2"


@dataclass(frozen=True)
class Published:
    """Where to look.

    Args:
        address: the page, as a person there opens it.
        enter: argv before a program's own, to run it where that address means something.
    """

    address: str
    enter: tuple[str, ...]


def _inside(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net")


def _connect(machine: Machine, host: int) -> None:
    """Gives the machine a link to the host of pid `host`, an address, and that host as its gateway."""
    deadline = time.monotonic() + 10
    while not machine.first and time.monotonic() < deadline:
        time.sleep(0.05)
    words = {
        host: (
            f"link add down0 type veth peer name up0 netns {machine.first}",
            f"address add {GATEWAY}/24 dev down0",
            "link set down0 up",
            "link set lo up",
        ),
        machine.first: (
            f"address add {MACHINE}/24 dev up0",
            "link set up0 up",
            f"route add default via {GATEWAY}",
        ),
    }
    for pid, commands in words.items():
        for command in commands:
            subprocess.run([*_inside(pid), "ip", *command.split()], check=True, timeout=10)


@contextlib.contextmanager
def published(machine: Machine, port: int) -> Iterator[Published]:
    """The machine's `port` on the loopback address of a host that has nothing else."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.setup.published", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdin is not None and relay.stdout is not None
        try:
            relay.stdout.readline()  # it is in its namespace now
            _connect(machine, relay.pid)
            relay.stdin.write("\n")
            relay.stdin.flush()
            relay.stdout.readline()  # it listens
            yield Published(f"http://127.0.0.1:{port}", _inside(relay.pid))
        finally:
            relay.kill()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # one side closed: the other is told so
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main(port: int) -> None:
    """Joins each connection to 127.0.0.1 with one to the machine, until killed."""
    print("here", flush=True)
    sys.stdin.readline()
    with socket.create_server(("127.0.0.1", port)) as listener:
        print("ready", flush=True)
        while True:
            near, _ = listener.accept()
            far = socket.create_connection((MACHINE, port))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
