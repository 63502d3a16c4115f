"""The steps that give a container its file system, carried out by its first process before it changes its root.

Every destination is opened by `mounts.target`, which refuses symbolic links on the way, and every mount is put in
place by descriptor; see linux/mounts.py for why. The order (root file system, /proc, /dev, the rest, then the masks) is
plan.py's.

Until `pivot_root` the process still sees the machine's tree. It works on `STAGE`, a directory that every machine has
and every user may walk to: what is mounted there is seen by this process only, since its mount namespace is its own.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

from engine.linux import mounts, syscalls
from engine.runtime.init import Args, Context

STAGE = "/tmp"


def propagation(_: Context, __: Args) -> None:
    """Cut this mount namespace off: what is mounted here stays here; see mount_namespaces(7).

    `slave`, not `private`: what the machine unmounts is unmounted here too, else it would stay busy because of us.
    """
    mounts.propagation("/", "slave")


def rootfs(context: Context, args: Args) -> None:
    """Put the union mount that the engine made where this process can make it the root; see move_mount(2).

    Without the new mount API the engine could not make it beforehand: `options` say how to mount it here.
    """
    if "fd" in args:
        mounts.attach_path(context.fds[args["fd"]], STAGE)
        context.fds["root"] = context.fds[args["fd"]]
    else:
        syscalls.mount("overlay", STAGE, "overlay", 0, args["options"])
        context.fds["root"] = os.open(STAGE, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def stage(context: Context, args: Args) -> None:
    """Lay a lab's layers and its disk out in a small tmpfs, below names that /proc/mounts will show the learner.

    A layer that was detached by the engine belongs to no mount namespace; an overlay of this user namespace takes only
    layers that are in its own (EPERM otherwise), so they are attached here first.
    """
    fd = mounts.new("tmpfs", ["mode=755", "size=64k"])
    mounts.attach_path(fd, STAGE)
    context.fds["stage"] = fd
    os.mkdir("root", dir_fd=fd)
    for name, path in args["attach"]:
        where = mounts.target(fd, path)
        mounts.attach(context.fds[name], where)
        os.close(where)


def overlay(context: Context, args: Args) -> None:
    """Stack the staged layers into one tree, writable on top; see overlayfs in the kernel's documentation.

    `userxattr`: in a user namespace overlayfs keeps its marks in `user.overlay.*`; without it `mkdir` over a deleted
    directory fails with EIO. The chroot makes the paths those the learner reads in /proc/mounts.
    """
    outside = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(context.fds["stage"])
        os.chroot(".")
        fd = mounts.new("overlay", args["options"])
        where = os.open("/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.attach(fd, where)
        os.close(where)
        context.fds["root"] = fd
        for source, destination in args["binds"]:
            where = mounts.target(fd, destination)
            copy = mounts.copy(source)
            mounts.attach(copy, where)
            os.close(copy)
            os.close(where)
    finally:
        os.fchdir(outside)
        os.chroot(".")
        os.close(outside)


def mount(context: Context, args: Args) -> None:
    """One entry of the OCI config's `mounts`: a new file system, or a bind of what the engine opened (`fd`)."""
    where = mounts.target(context.fds["root"], args["destination"], directory=args.get("directory", True))
    try:
        if "fd" not in args:
            mounts.new_at(args["type"], args["options"], where)
            return
        mounts.attach(context.fds[args["fd"]], where)
        if args["options"]:
            mounts.restrict(context.fds[args["fd"]], args["options"], recursive=True)
    except OSError as error:
        raise OSError(error.errno, f"mount on {args['destination']}: {error.strerror}") from error
    finally:
        os.close(where)


def cgroups(context: Context, args: Args) -> None:
    """The cgroup file systems as this container may see them: its own group is their root; see cgroup_namespaces(7)."""
    base = args["destination"]
    for name, fstype, options in args["mounts"]:
        path = f"{base}/{name}" if name else base
        mount(context, {"destination": path, "type": fstype, "options": options})
    root = context.fds["root"]
    for name, points_to in args.get("links", []):
        where = mounts.target(root, base)
        fd = os.open(f"/proc/self/fd/{where}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.symlink(points_to, name, dir_fd=fd)
        os.close(fd)
        os.close(where)
    if args.get("readonly"):
        where = mounts.target(root, base)
        mounts.restrict(where, ["ro"])
        os.close(where)


def devices(context: Context, args: Args) -> None:
    """/dev: a few nodes, the links a shell expects, a devpts of its own; see null(4), random(4), tty(4), pts(4).

    Only the machine's root may make a node. With `fd`, /dev was made by the engine for a lab's user namespace; with
    `bind`, the engine is itself in one, and the nodes it has are shown here.
    """
    root = context.fds["root"]
    if "fd" in args:
        mount(context, {"destination": "/dev", "fd": args["fd"], "options": []})
    else:
        mount(context, {"destination": "/dev", "type": "tmpfs", "options": ["nosuid", "mode=755", "size=64m"]})
    dev = syscalls.openat2(root, "/dev", os.O_RDONLY | os.O_DIRECTORY, resolve=syscalls.RESOLVE_IN_ROOT)
    if args.get("bind"):
        bind_nodes(root, args["nodes"])
    elif "fd" not in args:
        make_nodes(dev, args["nodes"])
    for directory in ("pts", "shm", "mqueue"):
        os.mkdir(directory, 0o755, dir_fd=dev)
    for name, points_to in args["links"]:
        os.symlink(points_to, name, dir_fd=dev)
    os.close(dev)
    devpts = mounts.new("devpts", args["devpts"])
    where = mounts.target(root, "/dev/pts")
    mounts.attach(devpts, where)
    os.close(where)
    context.fds["ptmx"] = os.open("ptmx", os.O_PATH | os.O_CLOEXEC, dir_fd=devpts)
    os.close(devpts)


def make_nodes(dev_fd: int, nodes: list[tuple[str, int, int]], owner: int = 0) -> None:
    """Make character devices, mode 0666, in a directory given by fd; see mknod(2).

    Args:
        nodes: (name, major, minor); a name may hold one directory (`net/tun`).
        owner: who they belong to, as the machine's root sees it.
    """
    for name, major, minor in nodes:
        if "/" in name:
            os.mkdir(name.split("/")[0], 0o755, dir_fd=dev_fd)
            os.chown(name.split("/")[0], owner, owner, dir_fd=dev_fd)
        os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev_fd)
        os.chmod(name, 0o666, dir_fd=dev_fd)  # mknod's mode passes the umask
        os.chown(name, owner, owner, dir_fd=dev_fd)


def bind_nodes(root: int, nodes: list[tuple[str, int, int]]) -> None:
    """Show this machine's own nodes in a container's /dev, each bound on an empty file; see user_namespaces(7)."""
    for name, _, _ in nodes:
        copy = mounts.copy(f"/dev/{name}")
        where = mounts.target(root, f"/dev/{name}", directory=False)
        mounts.attach(copy, where)
        os.close(where)
        os.close(copy)


def listen(context: Context, args: Args) -> None:
    """Make a listening unix socket of the lab's root; who accepts on it comes when somebody connects (unix(7)).

    Comes after pivot_root, so that the path is the lab's own. SO_PEERCRED shows those who connect this process's ids.
    """
    path = args["path"]
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    sock.listen(64)
    context.fds["listener"] = sock.detach()


def bind_console(context: Context, _: Args) -> None:
    """Show the terminal as /dev/console, bound by descriptor: a path could have been changed (CVE-2025-52565)."""
    peer = context.fds.get("peer")
    if peer is None:
        return
    copy = mounts.copy("", dirfd=peer)
    where = mounts.target(context.fds["root"], "/dev/console", directory=False)
    mounts.attach(copy, where)
    os.close(where)
    os.close(copy)


def mask(context: Context, args: Args) -> None:
    """Cover what tells too much: a file by /dev/null, a directory by an empty read-only tmpfs (OCI `maskedPaths`).

    /dev/null is the node made in `devices`, checked by its numbers: an image that ships `/dev/null` as a link would
    otherwise have any file of /proc bound over it, writable (CVE-2025-31133).
    """
    root = context.fds["root"]
    for path in args["paths"]:
        try:
            where = syscalls.openat2(
                root, path, os.O_PATH, resolve=syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
            )
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            raise
        if stat.S_ISDIR(os.fstat(where).st_mode):
            mounts.new_at("tmpfs", ["ro", "nr_blocks=1", "nr_inodes=1"], where)
        else:
            null = mounts.target(root, "/dev/null", directory=False)
            seen = os.fstat(null)
            if not stat.S_ISCHR(seen.st_mode) or seen.st_rdev != os.makedev(1, 3):
                raise OSError(errno.EINVAL, "/dev/null of the container is not the null device")
            copy = mounts.copy("", dirfd=null)
            mounts.attach(copy, where)
            os.close(copy)
            os.close(null)
        os.close(where)


def readonly(context: Context, args: Args) -> None:
    """Make parts of the tree read-only by binding each onto itself (OCI `readonlyPaths`)."""
    root = context.fds["root"]
    for path in args["paths"]:
        try:
            where = syscalls.openat2(
                root, path, os.O_PATH, resolve=syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
            )
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            raise
        copy = mounts.copy("", dirfd=where, recursive=True)
        mounts.attach(copy, where)
        mounts.restrict(copy, ["ro"], recursive=True)
        os.close(copy)
        os.close(where)


def readonly_rootfs(context: Context, _: Args) -> None:
    """Make the root file system read-only, not what is mounted below it (OCI `root.readonly`)."""
    mounts.restrict(context.fds["root"], ["ro"])


def pivot_root(context: Context, _: Args) -> None:
    """Change the root and let go of the machine's tree; see pivot_root(2)."""
    mounts.pivot_root(context.fds["root"])


STEPS: dict[str, Any] = {
    function.__name__: function
    for function in (
        propagation, rootfs, stage, overlay, mount, cgroups, devices, bind_console, mask, readonly, readonly_rootfs,
        pivot_root, listen,
    )
}  # fmt: skip
