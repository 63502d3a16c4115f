"""A lab host with nothing but what can be observed: all eight namespaces, a cgroup, an init, and terminals.

Made by a few system calls on the machine's own root, so that engine/observe can be tested without the engine.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.lab_plan import NODES
from engine.lab_steps import make_devices
from engine.linux import mounts, namespaces, procfs, syscalls
from engine.linux.cgroups import Cgroups, Group, Root
from engine.observe import LabView, Observer

HOST_ID = 1_900_000_000
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PS1": "$ ", "TERM": "dumb", "HOME": "/"}
_WALL = 0x40000000  # waitpid(2): also children whose end sends no signal
ALL_KINDS = ["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"]


def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Wait for what nothing announces."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class MiniLab:
    """See `mini_lab`."""

    def __init__(self, root: Root, group: Group, init: int, pidfd: int) -> None:
        self.root, self.group, self.init, self._pidfd = root, group, init, pidfd
        self.terminals: dict[str, int] = {}
        self._children: list[int] = []
        self.observer = Observer(self.view())

    def view(self) -> LabView:
        group = self.group
        v1, unified = frozenset(group.hierarchy.v1), group.path("")
        return LabView("mini", self.init, (group.processes_path,), dict(self.terminals), group.trees(), v1, unified)

    def spawn(self, *argv: str, terminal: str | None = None) -> None:
        """Start a program in the lab, as its root; on a new terminal of this name if one is given."""
        master, slave = os.openpty() if terminal else (-1, -1)
        self._inside(lambda: self._exec(argv, slave))
        if terminal:
            os.close(slave)
            self.terminals[terminal] = master
            self.observer.update(self.view())

    def run(self, script: str) -> str:
        """Run a script in the lab to its end; what it printed."""
        read, write = os.pipe()

        def child() -> None:
            os.dup2(write, 1)
            os.dup2(write, 2)
            self._exec(("bash", "-c", script), -1)

        self._inside(child)
        os.close(write)
        with os.fdopen(read) as pipe:
            return pipe.read()

    def type(self, terminal: str, text: str) -> None:
        os.write(self.terminals[terminal], text.encode())

    def screen(self, terminal: str) -> bytes:
        """What the terminal has printed since the last look."""
        out = b""
        while select.select([self.terminals[terminal]], [], [], 0)[0]:
            try:
                out += os.read(self.terminals[terminal], 65536)
            except OSError:
                break
        return out

    def pids(self, comm: str) -> list[int]:
        """Host pids of the lab's processes of this name; those that ended are reaped first."""
        self._reap(os.WNOHANG)
        found = []
        for pid in self.group.pids():
            try:
                if procfs.stat(pid).comm == comm:
                    found.append(pid)
            except procfs.Gone:
                continue
        return found

    def wait_for(self, comm: str, count: int = 1) -> int:
        """Wait until so many processes of this name run; the pid of the last."""
        until(lambda: len(self.pids(comm)) >= count)
        return self.pids(comm)[-1]

    def close(self) -> None:
        self.group.kill()
        self._reap(0)  # before init, which does not end while one of its namespace is a zombie
        os.waitpid(self.init, 0)
        for master in self.terminals.values():
            os.close(master)
        os.close(self._pidfd)
        self.group.remove()
        self.root.remove()

    def _inside(self, work: Callable[[], None]) -> None:
        """A process in the lab's cgroup and namespaces, and our child. The helper that enters for it ends at once."""
        read, write = os.pipe()
        fd = self.group.open_fd()
        try:
            pid, pidfd = syscalls.clone3(0, cgroup_fd=fd)
        finally:
            if fd >= 0:
                os.close(fd)
        if pid == 0:
            try:
                _join(self.group)
                namespaces.enter(self._pidfd, ALL_KINDS)
                # Our child, not the helper's: an orphan would be left to the machine's init, which may reap it late.
                inner, _ = syscalls.clone3(syscalls.CLONE_PARENT, exit_signal=0)
                if inner:
                    os.write(write, str(inner).encode())
                    os._exit(0)
                os.setgroups([])
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
                syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
                os.close(write)
                work()
            finally:
                os._exit(127)
        os.close(pidfd)
        os.close(write)
        with os.fdopen(read) as pipe:
            self._children.append(int(pipe.read()))
        os.waitpid(pid, 0)

    def _reap(self, flags: int) -> None:
        self._children = [pid for pid in self._children if os.waitpid(pid, flags | _WALL)[0] == 0]

    def _exec(self, argv: tuple[str, ...], slave: int) -> None:
        os.setsid()
        if slave >= 0:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(slave, number)
        else:
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
        os.chdir("/")
        os.execvpe(argv[0], list(argv), ENVIRONMENT)


def _join(group: Group) -> None:
    for path in group.tasks_paths():
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"0")
        os.close(fd)


def _init(group: Group, mapped: int, nodes: int) -> None:
    _join(group)
    os.read(mapped, 1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.mount(None, "/", None, syscalls.MS_PRIVATE | syscalls.MS_REC)
    mounts.attach_path(nodes, "/mnt")
    syscalls.mount("/mnt/fuse", "/dev/fuse", None, syscalls.MS_BIND)
    syscalls.umount2("/mnt", syscalls.MNT_DETACH)
    syscalls.mount("proc", "/proc", "proc", 0)
    syscalls.mount("tmpfs", "/mnt", "tmpfs", 0)
    syscalls.sethostname("lab")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env=ENVIRONMENT)
    syscalls.set_name("init")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(mapped, b"r")
    while True:
        signal.pause()


@contextmanager
def mini_lab(instance: str) -> Iterator[MiniLab]:
    """A lab whose init runs; everything is gone at the end of the block."""
    root = Cgroups.detect().root(instance)
    group = root.create("labs/mini/payload")
    ours, theirs = socket.socketpair()
    fd = group.open_fd()
    nodes = make_devices(NODES, HOST_ID)  # a lab's: without udev the machine's /dev/fuse is for its root alone
    pid, pidfd = syscalls.clone3(namespaces.flags(ALL_KINDS), cgroup_fd=fd)
    if pid == 0:
        try:
            ours.close()
            _init(group, theirs.fileno(), nodes)
        finally:
            os._exit(126)
    os.close(nodes)
    if fd >= 0:
        os.close(fd)
    theirs.close()
    for file in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{file}", "w", encoding="ascii") as handle:
            handle.write(f"0 {HOST_ID} 65536\n")
    with ours:
        ours.send(b"m")
        assert ours.recv(1) == b"r", "the lab's init did not come up"
    lab = MiniLab(root, group, pid, pidfd)
    try:
        yield lab
    finally:
        lab.close()
