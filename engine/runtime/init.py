"""What the first process of a container does between clone and execve: the plan's steps, one after the other.

The zygote forks this process and it runs `run` with the steps it was given. A step is a word and its arguments; `STEPS`
says which function carries each word out. Steps on the root file system are in `rootfs.py`; here are those about the
process itself: session, namespaces, ids, limits, terminal, privileges, and the last one, `exec`.

Some plans need two processes on the way (a lab is born from inside its parent user namespace; a process that joins a
pid namespace is not in it, only its child is). Then a `clone` step stands in the middle: the child goes on with the
steps after it, the parent says the child's number to the zygote and ends.

The order matters and is decided in plan.py; why, is said there. Nothing may be imported in here after the fork: the
container's root may have no Python at all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import termios
import time
from typing import Any

from engine.linux import capabilities, limits, namespaces, syscalls
from engine.linux import seccomp as filters
from engine.runtime import channel

Args = dict[str, Any]

#: Exit statuses of a container whose program could not be started, as Docker and shells give them.
NOT_EXECUTABLE, NOT_FOUND = 126, 127

#: What the zygote ignores; every child takes it back. A Ctrl-C at `hako up` is the supervisor's, which ends labs in
#: order.
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)

_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Context:
    """What the steps of one start share: named descriptors, the socket to the zygote, the times."""

    def __init__(self, sync: socket.socket, fds: dict[str, int]) -> None:
        self.sync = sync
        self.fds = fds
        self.index = 0
        self.times: list[tuple[int, int, int]] = []
        self.home = "/"

    def tell(self, message: channel.Message, fds: dict[str, int] | None = None) -> None:
        """Say something to the zygote."""
        channel.send(self.sync, message, fds)

    def ask(self, message: channel.Message) -> None:
        """Say something and wait for the answer; the zygote answers or dies, and then this process dies with it."""
        self.tell(message)
        if channel.receive(self.sync) is None:
            os._exit(1)


def run(context: Context, steps: list[tuple[int, str, Args]], handlers: dict[str, Any]) -> None:
    """Carry out the steps; never returns.

    Args:
        steps: (number in the plan, word, arguments).
        handlers: the function of each word.

    A step that fails is reported with its number, errno and the kernel's words, and the process ends: since its
    namespaces have no other process, all it made goes with it.
    """
    try:
        for index, kind, args in steps:
            context.index = index
            begun = time.monotonic_ns()
            if kind == "exec":
                context.times.append((index, begun, 0))
                context.tell({"op": "exec", "times": context.times})
            handlers[kind](context, args)
            context.times.append((index, begun, time.monotonic_ns() - begun))
    except OSError as error:
        _report(context, error.errno or errno.EIO, error.strerror or str(error))
    except Exception as error:  # the border of this process: whatever it was, the zygote must hear of it
        _report(context, errno.EINVAL, f"{type(error).__name__}: {error}")
    os._exit(NOT_FOUND)


def _report(context: Context, number: int, text: str) -> None:
    try:
        context.tell({"op": "error", "step": context.index, "errno": number, "text": text[:2000]})
    except OSError:
        pass  # the zygote gave up on this start (its deadline) and has told the daemon already


def session(_: Context, args: Args) -> None:
    """Begin afresh: die with the zygote, forget inherited signal dispositions and the session (setsid(2), signal(7)).

    An ignored signal stays ignored over execve: Python ignores SIGPIPE and SIGXFSZ, a background job ignores SIGINT,
    and a learner's Ctrl-C would be dead. `keyring` gives a session keyring of its own (keyrings(7)).
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    limits.usual_files()
    os.setsid()
    if "keyring" in args:
        try:
            syscalls.join_session_keyring(args["keyring"])
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):
                raise


def join_cgroup(_: Context, args: Args) -> None:
    """Enter the cgroup on each v1 hierarchy by writing `0` to its `tasks`; see cgroups(7).

    A process that moves itself, alone, is let through at once. A pid written to `cgroup.procs` waits for every
    processor to pass a quiet point (an RCU grace period): 6 to 22 ms. On v2 clone3 put the process here already.
    """
    for path in args["tasks"]:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def join_namespaces(context: Context, args: Args) -> None:
    """Join the namespaces of a process (by its pidfd) or one namespace (by its file); see setns(2)."""
    fd = context.fds[args["fd"]]
    if args.get("pidfd"):
        namespaces.enter(fd, args["kinds"])
    else:
        syscalls.setns(fd, namespaces.flags(args["kinds"]))


def unshare(_: Context, args: Args) -> None:
    """Leave namespaces of these kinds for new ones; see unshare(2)."""
    namespaces.unshare(args["kinds"])


def map_ids(context: Context, args: Args) -> None:
    """Have the zygote write this process's id maps, then become root of the new user namespace.

    Only a process outside, with CAP_SETUID there, may map a whole block of ids; see user_namespaces(7). With `idmap`
    the zygote also shows the named detached mounts through the new map (mount_setattr(2)).
    """
    maps = {"uid_map": args["uid_map"], "gid_map": args["gid_map"], "idmap": args.get("idmap", [])}
    context.ask({"op": "map", "step": context.index, **maps})
    _become_root()


def _become_root() -> None:
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    # A change of ids clears both: without dumpable the /proc/PID files belong to the machine's root and the next map
    # cannot be written; without the death signal a lab would outlive its zygote.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def limit_namespaces(_: Context, args: Args) -> None:
    """Bound how many namespaces, inotify watches and so on may be made below here (/proc/sys/user; namespaces(7)).

    The kernel counts against every ancestor, so what is written here holds for the learner, who can only raise a copy.
    """
    for name, value in args["limits"]:
        try:
            fd = os.open(f"/proc/sys/user/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)


def clone(context: Context, args: Args) -> None:
    """Go on in a child, born into new namespaces if any are named; the parent tells its number and ends.

    CLONE_PARENT makes the zygote the child's parent, so that the zygote learns how it ends; the child waits until the
    zygote watches it. With `identity` it is in a new user namespace whose ids are the same as here, and that map is
    written by then.
    """
    waiting, done = os.pipe2(os.O_CLOEXEC)
    pid, _ = syscalls.clone3(namespaces.flags(args["kinds"]) | syscalls.CLONE_PARENT, exit_signal=0)
    if pid:
        os.close(waiting)
        if args.get("identity"):
            lines = f"0 0 {args['identity']}"
            namespaces.write_id_maps(pid, lines, lines)
        context.ask({"op": "pid", "step": context.index, "pid": pid, "times": context.times})
        os.close(done)
        os._exit(0)
    context.times = []
    os.close(done)
    os.read(waiting, 1)
    os.close(waiting)
    if args.get("identity"):
        _become_root()


def hostname(_: Context, args: Args) -> None:
    """Set the name of this UTS namespace; see uts_namespaces(7)."""
    syscalls.sethostname(args["hostname"])


def loopback(_: Context, args: Args) -> None:
    """Set `lo` up: a new network namespace has nothing else, and has it down. See netdevice(7), SIOCSIFFLAGS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14s", b"lo", 0x1 | 0x40, b"")
        fcntl.ioctl(sock, 0x8914, request)


def console(context: Context, args: Args) -> None:
    """Make a terminal in the container's own devpts and give its master to the zygote; see pty(7), ioctl_tty(2).

    `ptmx` is a descriptor on that devpts, and the peer is opened through the master (TIOCGPTPEER): no path below /dev
    is used, which the image or a learner could bend (CVE-2025-52565). The size is set before the program starts, or its
    first screen would be drawn for another one. `uid` is the owner as the machine counts.
    """
    master = os.open(f"/proc/self/fd/{context.fds['ptmx']}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    peer = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", args["rows"], args["cols"], 0, 0))
    os.fchown(peer, args.get("uid", 0), -1)
    context.tell({"op": "fd"}, {"master": master})
    os.close(master)
    context.fds.update(stdin=peer, stdout=peer, stderr=peer, peer=peer)


def controlling_tty(context: Context, _: Args) -> None:
    """Make the terminal that of this session, so that Ctrl-C reaches its foreground job; see TIOCSCTTY(2const)."""
    fcntl.ioctl(context.fds["peer"], termios.TIOCSCTTY, 0)


def keep(context: Context, args: Args) -> None:
    """Hand descriptors to the zygote, which keeps them as long as this container lives."""
    context.tell({"op": "fd"}, {name: context.fds[name] for name in args["names"]})


def rlimits(_: Context, args: Args) -> None:
    """Set resource limits; see prlimit(2). Raising one needs CAP_SYS_RESOURCE in the first user namespace."""
    for number, soft, hard in args["limits"]:
        resource.setrlimit(number, (soft, hard))


def no_new_privs(_: Context, args: Args) -> None:
    """From here on execve gives no more privilege, whatever the file says; see PR_SET_NO_NEW_PRIVS(2const)."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def seccomp(_: Context, args: Args) -> None:
    """Install the filter of system calls; see seccomp(2).

    Without no_new_privs this needs CAP_SYS_ADMIN and so comes before the capabilities are dropped.
    """
    filters.install(args["filter"])


def become(context: Context, args: Args) -> None:
    """Become the container's user with the container's capabilities; see capabilities(7), credentials(7).

    `user` is `name|uid[:group|gid]`, looked up in the container's own /etc/passwd and /etc/group, read as hostile text.
    A user other than 0 keeps no effective capability, as after `su`.
    """
    uid, gid, groups, context.home = find_user(args["user"], _read("/etc/passwd"), _read("/etc/group"))
    groups = sorted({*groups, *args.get("groups", [])})
    peer = context.fds.get("peer")
    if peer is not None and uid != 0:
        os.fchown(peer, uid, -1)
    capabilities.drop_bounding(args["bounding"])
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    permitted = args["permitted"] if uid == 0 else 0
    capabilities.apply(args["bounding"], permitted, permitted)


def _read(path: str) -> str:
    """A small file of the container: never waits (a fifo), never more than 256 KiB; missing is empty."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        return os.read(fd, 256 * 1024).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def find_user(user: str, passwd: str, group: str) -> tuple[int, int, list[int], str]:
    """Who `name|uid[:group|gid]` is: (uid, gid, supplementary gids, home), by passwd(5) and group(5).

    Raises:
        OSError: ENOENT for a name that is not in the file.
    """
    name, _, group_name = user.partition(":")
    users = [fields for line in passwd.splitlines() if len(fields := line.split(":")) >= 7]
    groups = [fields for line in group.splitlines() if len(fields := line.split(":")) >= 4]
    found = next((fields for fields in users if name in (fields[0], fields[2])), None)
    if found is None and not name.isdigit():
        raise OSError(errno.ENOENT, f"unable to find user {name}: no matching entries in passwd file")
    uid = int(found[2]) if found else int(name)
    gid, home = (int(found[3]), found[5] or "/") if found else (0, "/")
    extra: list[int] = []
    if group_name:
        entry = next((fields for fields in groups if group_name in (fields[0], fields[2])), None)
        if entry is None and not group_name.isdigit():
            raise OSError(errno.ENOENT, f"unable to find group {group_name}: no matching entries in group file")
        gid = int(entry[2]) if entry else int(group_name)
    elif found:
        extra = [int(fields[2]) for fields in groups if found[0] in fields[3].split(",") and fields[2].isdigit()]
    return uid, gid, extra, home


def workdir(_: Context, args: Args) -> None:
    """Go to the working directory, as the container's user, and check that it lies inside the root.

    A leaked descriptor of a host directory would show here as a path outside: getcwd(3) then fails or says
    "(unreachable)" (CVE-2024-21626).
    """
    path = args["cwd"]
    try:
        os.chdir(path)
    except FileNotFoundError:
        if not args.get("create"):
            raise
        os.makedirs(path, 0o755, exist_ok=True)
        os.chdir(path)
    if not os.getcwd().startswith("/"):
        raise OSError(errno.EXDEV, f"the working directory {path} lies outside the container")


def exec(context: Context, args: Args) -> None:
    """Become the program: its three descriptors in place, every other one closed, execve(2).

    Nothing is opened after close_range: what leaked before it is gone. Only the sync socket stays, close-on-exec: it
    reports an execve that fails and says, by closing, that the program runs.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        fd = context.fds.get(name)
        os.dup2(fd if fd is not None else os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), number)
    env = {"HOME": context.home, **args["env"]}
    program = args["args"][0]
    first = 3 + _hand_over(context, [context.fds[name] for name in args.get("listen", [])], env)
    sync = context.sync.fileno()
    if sync > first:
        syscalls.close_range(first, sync - 1)
    syscalls.close_range(sync + 1)
    seen = errno.ENOENT
    for path in _candidates(program, env.get("PATH", _DEFAULT_PATH)):
        try:
            os.execve(path, args["args"], env)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                seen = error.errno or errno.EACCES
    if seen == errno.ENOENT:
        raise OSError(seen, f"exec: {program!r}: executable file not found in $PATH")
    raise OSError(seen, f"exec: {program!r}: {os.strerror(seen)}")


def _hand_over(context: Context, sockets: list[int], env: dict[str, str]) -> int:
    """Put listening sockets at 3 and on, and say so in the environment; how many. See sd_listen_fds(3)."""
    if sockets:
        above = 3 + len(sockets)  # first out of each other's way
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in sockets]
        context.sync = socket.socket(fileno=fcntl.fcntl(context.sync.detach(), fcntl.F_DUPFD_CLOEXEC, above))
        for number, fd in enumerate(moved):
            os.dup2(fd, 3 + number)
        env.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()))
    return len(sockets)


def _candidates(program: str, path: str) -> list[str]:
    if "/" in program:
        return [program]
    return [f"{directory or '.'}/{program}" for directory in path.split(":")]


STEPS: dict[str, Any] = {
    function.__name__: function
    for function in (
        session, join_cgroup, join_namespaces, unshare, map_ids, limit_namespaces, clone, hostname, loopback, console,
        controlling_tty, keep, rlimits, no_new_privs, seccomp, become, workdir, exec,
    )
}  # fmt: skip
