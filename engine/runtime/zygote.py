"""The zygote: the parent of every container's first process, and the keeper of what must outlive the daemon.

It is small and single-threaded, so that a fork is cheap and nothing can be half-locked in the child; it starts with an
empty environment, imports almost nothing, and is the only program here that forks. The daemon asks it over a
SOCK_SEQPACKET socket (channel.py) to start a process by a list of steps (init.py); it keeps the descriptors it is
told to keep (pty masters, each with its pipe and ring), and writes exit statuses to files. When the daemon dies it
goes on; the next daemon asks `list` and finds everything.

It never waits: not for a child, not for a slow daemon. Children are watched by pidfd and reaped with WNOHANG, since
waiting for one process in a dying pid namespace while another of its processes is our zombie would never end. Every
start has a deadline, after which its processes are killed.

    python -I -S engine/runtime/zygote.py --socket PATH --exits DIRECTORY
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from engine.linux import limits, mounts, namespaces, syscalls
from engine.runtime import channel, init, rootfs
from engine.runtime.itself import default_signals, keep_only, run_from_read_only_mount
from engine.runtime.outbox import Maker, Outbox

#: waitpid(2): children whose exit signal is not SIGCHLD, too.
_WALL = 0x40000000

HANDLERS = {**init.STEPS, **rootfs.STEPS}


class Process:
    """A process that was started and not yet forgotten: its number, its descriptors, how it ended."""

    def __init__(self, key: str, pid: int, pidfd: int, kept: dict[str, int], info: channel.Message) -> None:
        self.key, self.pid, self.pidfd, self.kept, self.info = key, pid, pidfd, kept, info
        self.status: int | None = None


class Start:
    """A start under way: from the fork to the execve."""

    def __init__(self, request: channel.Message, fds: dict[str, int], sync: socket.socket) -> None:
        self.key: str = request["key"]
        self.request, self.fds, self.sync = request, fds, sync
        self.deadline = time.monotonic() + request.get("deadline_s", 10.0)
        # The process that was forked, and the one that will be the program: two where a `clone` step stands between.
        self.first = self.pid = 0
        self.first_pidfd = self.pidfd = -1
        self.times: list[tuple[int, int, int]] = []
        self.kept: dict[str, int] = {name: fds[name] for name in request.get("keep", [])}
        self.executed = False
        self.error: channel.Message | None = None


class Zygote:
    """The loop: the daemon's requests, the children's messages, the children's ends."""

    def __init__(self, listener: socket.socket, exits: str) -> None:
        self.listener, self.exits = listener, exits
        self.daemon: socket.socket | None = None
        self.outbox: Outbox | None = None
        self.processes: dict[str, Process] = {}
        self.starts: dict[int, Start] = {}
        self.unclaimed: dict[int, int] = {}
        #: pidfds being polled, with their pids; those nobody asks about any more are closed when they have ended.
        self.watched: dict[int, int] = {}
        self.doomed: set[int] = set()
        self.poll = select.poll()
        self.poll.register(listener, select.POLLIN)

    def serve(self) -> None:
        """Serve until the process is told to end."""
        while True:
            timeout = None
            if self.starts:
                nearest = min(start.deadline for start in self.starts.values())
                timeout = max(0, int((nearest - time.monotonic()) * 1000) + 1)
            for fd, _ in self.poll.poll(timeout):
                try:
                    self._ready(fd)
                except Exception as error:  # the border of the event: every container and lab lives by this process
                    print(f"zygote: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self._reap()
            self._expire()

    def _ready(self, fd: int) -> None:
        if fd == self.listener.fileno():
            self._accept()
        elif self.daemon is not None and fd == self.daemon.fileno():
            self._flush()
            self._request()
        elif fd in self.starts:
            self._news(self.starts[fd])
        # else a pidfd: _reap follows

    def _accept(self) -> None:
        """A new daemon takes the place of the old one; there is only ever one."""
        connection, _ = self.listener.accept()
        self._drop_daemon()
        connection.setblocking(False)
        self.daemon = connection
        self.poll.register(connection, select.POLLIN)
        self.outbox = Outbox(connection, lambda events: self.poll.modify(connection, events))

    def _drop_daemon(self) -> None:
        if self.daemon is not None:
            self.poll.unregister(self.daemon)
            self.daemon.close()
            self.daemon = self.outbox = None

    def _put(self, make: Maker) -> None:
        """Tell the daemon; one that does not read loses its connection and will ask `list` when it comes back."""
        if self.outbox is not None:
            try:
                self.outbox.put(make)
            except OSError:
                self._drop_daemon()

    def _flush(self) -> None:
        if self.outbox is not None:
            try:
                self.outbox.flush()
            except OSError:
                self._drop_daemon()

    def _tell(self, message: channel.Message) -> None:
        self._put(lambda: (message, {}))

    def _tell_of(self, process: Process, also: channel.Message, fds: set[str] | None = None) -> None:
        """Tell of a process with its descriptors: those named, or all; of one forgotten meanwhile nothing."""

        def make() -> tuple[channel.Message, dict[str, int]] | None:
            if self.processes.get(process.key) is not process:
                return None
            kept = {name: fd for name, fd in process.kept.items() if fds is None or name in fds}
            return {**self._describe(process), **also}, {"pidfd": process.pidfd, **kept}

        self._put(make)

    def _request(self) -> None:
        if self.daemon is None:
            return
        try:
            received = channel.receive(self.daemon)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            received = None
        if received is None:
            self._drop_daemon()
            return
        message, fds = received
        if message["op"] == "start":
            self._start(message, fds)
        elif message["op"] == "forget":
            self._forget(message["key"])
        elif message["op"] == "let_go":
            self._let_go(message["key"], message["name"])
        elif message["op"] == "list":
            for process in self.processes.values():
                self._tell_of(process, {})
            self._tell({"op": "listed", "pid": os.getpid()})

    def _describe(self, process: Process) -> channel.Message:
        return {
            "op": "process", "key": process.key, "pid": process.pid, "status": process.status, "info": process.info,
        }  # fmt: skip

    def _start(self, request: channel.Message, fds: dict[str, int]) -> None:
        """Fork; the child carries the steps out, this process goes on at once."""
        begun = time.monotonic_ns()
        ends: list[socket.socket] = []
        try:
            ours, theirs = ends = [*channel.pair()]
            flags = namespaces.flags(request["kinds"])
            pid, pidfd = syscalls.clone3(flags, cgroup_fd=fds.get("cgroup", -1))
        except OSError as error:
            channel.close_all([*(end.detach() for end in ends), *fds.values()])
            self._tell(_failure(request["key"], request["clone_step"], error.errno or errno.EIO, error.strerror or ""))
            return
        if pid == 0:
            try:
                keep_only({theirs.fileno(), *fds.values()})
                init.run(init.Context(theirs, fds), request["steps"], HANDLERS)
            finally:
                os._exit(init.NOT_FOUND)  # whatever happens: two zygotes would be one too many
        theirs.close()
        start = Start(request, fds, ours)
        start.first, start.pid = pid, pid
        start.first_pidfd = start.pidfd = pidfd
        start.times.append((request["clone_step"], begun, time.monotonic_ns() - begun))
        ours.setblocking(False)
        self.starts[ours.fileno()] = start
        self.poll.register(ours, select.POLLIN)
        self._watch(pidfd, pid)

    def _news(self, start: Start) -> None:
        """A message from a child on its way, or the end of them: execve closed the last copy of the socket."""
        while True:
            try:
                received = channel.receive(start.sync)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                received = None
            if received is None:
                self._settle(start)
                return
            message, fds = received
            op = message["op"]
            if op == "fd":
                start.kept.update(fds)
            elif op == "exec":
                start.executed = True
                start.times += message["times"]
            elif op == "pid":
                self._second(start, message)
            elif op == "error":
                start.error = message
            elif op == "map":
                self._map(start, message)

    def _second(self, start: Start, message: channel.Message) -> None:
        """The process that will be the program. It waits until it is watched: else it could end unseen."""
        start.times += message["times"]
        try:
            start.pidfd = syscalls.pidfd_open(message["pid"])
            start.pid = message["pid"]
            self._watch(start.pidfd, start.pid)
            channel.send(start.sync, {"op": "watched"})
        except OSError as error:  # it, or who made it, was killed meanwhile
            start.error = {"step": message["step"], "errno": errno.ECHILD, "text": f"the process was killed: {error}"}

    def _map(self, start: Start, message: channel.Message) -> None:
        """Write the first child's id maps, and show the named mounts through them."""
        try:
            namespaces.write_id_maps(start.first, message["uid_map"], message["gid_map"])
            userns = namespaces.open_file(start.first, "user")
            try:
                for name in message["idmap"]:
                    mounts.idmap(start.fds[name], userns)
            finally:
                os.close(userns)
            channel.send(start.sync, {"op": "mapped"})
        except OSError as error:
            start.error = {"step": message.get("step", -1), "errno": error.errno, "text": error.strerror or str(error)}
            _kill(start.pidfd)

    def _settle(self, start: Start) -> None:
        """The start is over, one way or the other: say which, and close what only it needed."""
        self.poll.unregister(start.sync)
        del self.starts[start.sync.fileno()]
        start.sync.close()
        kept = set(start.kept.values())
        channel.close_all([fd for fd in start.fds.values() if fd not in kept])
        if start.first_pidfd != start.pidfd:
            self._doom(start.first_pidfd)
        if start.executed and start.error is None:
            process = Process(start.key, start.pid, start.pidfd, start.kept, start.request.get("info", {}))
            self.processes[start.key] = process
            self._tell_of(process, {"op": "started", "times": start.times}, set(start.kept) - set(start.fds))
            if start.pid in self.unclaimed:
                self._ended(process, self.unclaimed.pop(start.pid))
            return
        error = start.error or {"step": -1, "errno": errno.ECHILD, "text": "the process ended before its program ran"}
        channel.close_all(list(kept))
        _kill(start.pidfd)
        self._doom(start.pidfd)
        self._tell(_failure(start.key, error["step"], error["errno"], error["text"]))

    def _expire(self) -> None:
        now = time.monotonic()
        for start in [start for start in self.starts.values() if start.deadline <= now]:
            start.error = start.error or {"step": -1, "errno": errno.ETIMEDOUT, "text": "the deadline passed"}
            _kill(start.first_pidfd)
            self._settle(start)

    def _watch(self, pidfd: int, pid: int) -> None:
        self.watched[pidfd] = pid
        self.poll.register(pidfd, select.POLLIN)

    def _unwatch(self, pidfd: int) -> None:
        if self.watched.pop(pidfd, None) is not None:
            self.poll.unregister(pidfd)

    def _doom(self, pidfd: int) -> None:
        """Nobody asks about this process any more; but until it is reaped its pid namespace cannot end."""
        if pidfd in self.watched:
            self.doomed.add(pidfd)
        else:
            os.close(pidfd)

    def _reap(self) -> None:
        """Collect every child that has ended, whichever it is."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | _WALL)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._collect(pid, status)
        if not self.starts:
            self.unclaimed.clear()  # whoever could have claimed them has failed; their numbers may be used again

    def _collect(self, pid: int, status: int) -> None:
        """Give a status to the process it belongs to; one of nobody (a first process on the way) is dropped."""
        for fd in [fd for fd, watched in self.watched.items() if watched == pid]:
            self._unwatch(fd)
            if fd in self.doomed:
                self.doomed.remove(fd)
                os.close(fd)
        process = next((each for each in self.processes.values() if each.pid == pid and each.status is None), None)
        if process is not None:
            self._ended(process, status)
            return
        if self.starts:
            self.unclaimed[pid] = status  # perhaps a program that ended before its start was settled

    def _ended(self, process: Process, status: int) -> None:
        """Write the wait status to a file before telling it: a daemon that is away reads it later."""
        process.status = status
        self._unwatch(process.pidfd)
        path = f"{self.exits}/{process.key}"
        try:
            with open(path + ".new", "w") as file:
                file.write(f"{status}\n")
            os.rename(path + ".new", path)
        except OSError as error:  # a full /run: the status is kept here and told all the same
            print(f"zygote: {path}: {error.strerror}", file=sys.stderr, flush=True)
        self._tell({"op": "exited", "key": process.key, "status": status})

    def _let_go(self, key: str, name: str) -> None:
        """Close one kept descriptor: a program's stdin ends only when the last copy of its other end is closed."""
        process = self.processes.get(key)
        if process is not None and name in process.kept:
            os.close(process.kept.pop(name))

    def _forget(self, key: str) -> None:
        process = self.processes.pop(key, None)
        if process is None:
            return
        if process.status is None:
            _kill(process.pidfd)
        channel.close_all(list(process.kept.values()))
        self._doom(process.pidfd)
        try:
            os.unlink(f"{self.exits}/{key}")
        except OSError:
            pass  # it was never written


def _failure(key: str, step: int, number: int, text: str) -> channel.Message:
    return {"op": "failed", "key": key, "step": step, "errno": number, "text": text}


def _kill(pidfd: int) -> None:
    try:
        syscalls.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended by itself


def main(arguments: list[str]) -> None:
    """Listen at `--socket`, write statuses below `--exits`, serve for ever."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    run_from_read_only_mount()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.set_name("hako-zygote")
    default_signals(init.IGNORED)
    limits.many_files()
    os.umask(0o022)
    os.chdir("/")
    path = options["--socket"]
    os.makedirs(options["--exits"], mode=0o700, exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(4)
        print("ready", flush=True)
        gc.collect()
        gc.freeze()
        gc.disable()
        Zygote(listener, options["--exits"]).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
