"""Mounts: made detached, put in place by file descriptor, never by a path that a container could have bent.

Two APIs do the same work. The new one (fsopen, fsmount, move_mount, mount_setattr; Linux 5.2 to 5.12) holds a mount as
an fd before anybody can see it; mount(2) needs a path and serves where the new calls are not there. See mount(2),
fsopen(2), move_mount(2), mount_setattr(2), openat2(2), pivot_root(2), mount_namespaces(7).

Every path inside a root file system is hostile: an image may ship `/proc` as a symbolic link to `/etc`. `target` walks
it with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS) and hands out an fd (CVE-2021-30465, CVE-2019-19921).

Imported by the zygote, so it needs nothing but `os` and `errno`.
"""

from __future__ import annotations

import errno
import os

from engine.linux import syscalls
from engine.linux.syscalls import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    OPEN_TREE_CLONE,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
)

# mount option word: (flag of mount(2), attribute of fsmount(2) and mount_setattr(2))
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (syscalls.MS_RDONLY, syscalls.MOUNT_ATTR_RDONLY),
    "nosuid": (syscalls.MS_NOSUID, syscalls.MOUNT_ATTR_NOSUID),
    "nodev": (syscalls.MS_NODEV, syscalls.MOUNT_ATTR_NODEV),
    "noexec": (syscalls.MS_NOEXEC, syscalls.MOUNT_ATTR_NOEXEC),
}

_PROPAGATION = {"private": syscalls.MS_PRIVATE, "slave": syscalls.MS_SLAVE, "shared": syscalls.MS_SHARED}


def new(fstype: str, options: list[str]) -> int:
    """A new file system as a detached mount.

    Args:
        fstype: a name from /proc/filesystems.
        options: words as after `mount -o`: those in ATTRIBUTES belong to the mount, the others to the file system.

    Returns:
        An fd to hand to `attach`. Closing it unattached unmounts.

    Raises:
        OSError: with what the file system itself said, read from the context's log.
    """
    attributes = 0
    context = syscalls.fsopen(fstype)
    try:
        # What mount(8) shows in its first column; without it, `none`.
        syscalls.fsconfig(context, FSCONFIG_SET_STRING, "source", fstype)
        for option in options:
            if option in ATTRIBUTES:
                attributes |= ATTRIBUTES[option][1]
                continue
            key, equals, value = option.partition("=")
            if equals:
                syscalls.fsconfig(context, FSCONFIG_SET_STRING, key, value)
            else:
                syscalls.fsconfig(context, FSCONFIG_SET_FLAG, key)
        syscalls.fsconfig(context, FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)


def new_at(fstype: str, options: list[str], target_fd: int) -> None:
    """A new file system straight onto a place: by the new API, else by mount(2) through /proc/self/fd."""
    try:
        mount_fd = new(fstype, options)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        flags, data = split_options(options)
        syscalls.mount(fstype, f"/proc/self/fd/{target_fd}", fstype, flags, data)
        return
    try:
        attach(mount_fd, target_fd)
    finally:
        os.close(mount_fd)


def split_options(options: list[str]) -> tuple[int, str | None]:
    """What mount(2) wants of a list of option words: (mountflags, data)."""
    flags = 0
    data = []
    for option in options:
        if option in ATTRIBUTES:
            flags |= ATTRIBUTES[option][0]
        else:
            data.append(option)
    return flags, ",".join(data) or None


def copy(path: str, *, dirfd: int = -100, recursive: bool = False) -> int:
    """A detached copy of what is mounted at a path: a bind mount that is nowhere yet.

    It is private. Where systemd is PID 1 every mount is shared, and a copy would be too: what is mounted below the one
    would appear below the other, and pivot_root(2) refuses such a root (EINVAL).

    With an empty `path`, the copy is of what `dirfd` (an O_PATH fd) stands for.
    """
    recursion = AT_RECURSIVE if recursive else 0
    fd = syscalls.open_tree(dirfd, path, OPEN_TREE_CLONE | recursion | (AT_EMPTY_PATH if not path else 0))
    try:
        syscalls.mount_setattr(fd, "", AT_EMPTY_PATH | recursion, propagation=syscalls.MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            os.close(fd)
            raise
        propagation(f"/proc/self/fd/{fd}", "private", recursive=recursive)
    return fd


def attach(mount_fd: int, target_fd: int) -> None:
    """Put a detached mount onto the file or directory an fd stands for."""
    syscalls.move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def attach_path(mount_fd: int, path: str) -> None:
    """Put a detached mount onto a path the engine itself owns (never one inside a root file system)."""
    syscalls.move_mount(mount_fd, "", -100, path, MOVE_MOUNT_F_EMPTY_PATH)


def idmap(mount_fd: int, userns_fd: int) -> None:
    """Show the files of a detached mount with the ids of a user namespace; see mount_setattr(2), MOUNT_ATTR_IDMAP."""
    syscalls.mount_setattr(mount_fd, "", AT_EMPTY_PATH, attr_set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=userns_fd)


def restrict(fd: int, words: list[str], *, recursive: bool = False) -> None:
    """Add attributes (`ro`, `nosuid`, …) to a mount given by an fd on its root."""
    attributes = 0
    for word in words:
        attributes |= ATTRIBUTES[word][1]
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    try:
        syscalls.mount_setattr(fd, "", flags, attr_set=attributes)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Before Linux 5.12 only a remount changes attributes, and it must repeat those the mount already has.
        locked = os.fstatvfs(fd).f_flag & (1 | 2 | 4 | 8)
        flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | locked | sum(ATTRIBUTES[word][0] for word in words)
        syscalls.mount(None, f"/proc/self/fd/{fd}", None, flags)


def propagation(path: str, kind: str, *, recursive: bool = True) -> None:
    """Make a mount `private`, `slave` or `shared`; see mount_namespaces(7)."""
    syscalls.mount(None, path, None, _PROPAGATION[kind] | (syscalls.MS_REC if recursive else 0))


def target(root_fd: int, path: str, *, directory: bool = True) -> int:
    """An fd (O_PATH) on a place inside a root file system, made if it is missing.

    Args:
        root_fd: the root, an open directory or detached mount.
        path: absolute inside that root.
        directory: what to make where nothing is: a directory, else an empty file.

    Raises:
        OSError: ELOOP where the image has a symbolic link on the way, ENOTDIR or EISDIR where the kind is wrong.
    """
    wanted = os.O_PATH | os.O_NOFOLLOW
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS
    try:
        return syscalls.openat2(root_fd, path, wanted | (os.O_DIRECTORY if directory else 0), resolve=resolve)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    parent_fd = target(root_fd, parent) if parent else os.dup(root_fd)
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent_fd)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent_fd))
    finally:
        os.close(parent_fd)
    return syscalls.openat2(root_fd, path, wanted | (os.O_DIRECTORY if directory else 0), resolve=resolve)


def pivot_root(new_root_fd: int) -> None:
    """Make a mount the root of this mount namespace and let go of the old one.

    `pivot_root(".", ".")` stacks the old root on the new one, so no directory is needed to put it in. The old one is
    made a slave first, or its unmounting would travel to the host; then it is detached. See pivot_root(2), NOTES.
    """
    old_root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(new_root_fd)
        syscalls.pivot_root(".", ".")
        os.fchdir(old_root_fd)
        propagation(".", "slave")
        syscalls.umount2(".", syscalls.MNT_DETACH)
    finally:
        os.close(old_root_fd)
    os.chdir("/")
