"""How to ask a kernel for an overlay mount, from Linux 5.10 to now (Documentation/filesystems/overlayfs.rst).

    FORM       since   how the layers are named
    "fd"       6.13    fsconfig(SET_FD, "lowerdir+"), one call a layer: no path at all, so no path can be bent
    "string"   6.8     fsconfig(SET_STRING, "lowerdir+"), one call a layer: no limit on all of them together
    "page"     3.18    mount(2) with one string lowerdir=a:b:c of at most a page; colons are escaped

The best form the kernel has is found by asking it, once. "page" has no detached mounts: it is mounted on a directory of
ours for a moment and taken back by open_tree(2). Paths that would not fit into the page become /proc/self/fd/N.

Imported by what enters labs, so it needs nothing but `contextlib`, `errno` and `os`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

from engine.linux import mounts, syscalls

FORMS = ("fd", "string", "page")
PAGE_BYTES = 4095  # mount(2) copies one page of options, the last byte is its NUL
STRING_BYTES = 255  # fsconfig(2): a string value is cut at 256 bytes
# index=off: the upper of a lab moves with its disk, and an index would refuse other inode numbers; moby does the same.
_COMMON = ("index=off",)

_form: list[str] = []


def form() -> str:
    """The best of FORMS this kernel knows; asked once, by a context that is thrown away.

    Raises:
        OSError: ENODEV where the kernel has no overlay at all.
    """
    if not _form:
        _form.append(_probe())
    return _form[0]


def mount(
    lower: Sequence[int],
    upper: int | None = None,
    work: int | None = None,
    *,
    attributes: int = 0,
    options: Sequence[str] = (),
    use: str | None = None,
    staging: str = "/run",
) -> int:
    """Mount an overlay detached.

    Args:
        lower: fds of the layers, the lowest first.
        upper, work: fds, or None for a read-only mount.
        attributes: MOUNT_ATTR_* of the mount.
        options: more overlay options, such as `userxattr`.
        use: one of FORMS, for tests; else `form()`.
        staging: for "page": a directory in which a mount point may be made for a moment.

    Returns:
        An fd of the mount.

    Raises:
        OSError: the kernel refused; with what overlay said, where it says anything.
    """
    how = use or form()
    words = [*_COMMON, *options]
    if how == "page":
        return _mount_page(lower, upper, work, attributes, words, staging)
    context = syscalls.fsopen("overlay")
    try:
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
            else:
                syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, key)
        for fd in reversed(lower):  # overlay wants the top-most first
            _set_directory(context, how, "lowerdir+", fd)
        if upper is not None and work is not None:
            _set_directory(context, how, "upperdir", upper)
            _set_directory(context, how, "workdir", work)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)


def _set_directory(context: int, how: str, key: str, fd: int) -> None:
    if how == "fd":
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FD, key, aux=fd)
    else:
        syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, name_of(fd, STRING_BYTES))


def name_of(fd: int, room: int, *, unfit: str = "") -> str:
    """The path of an open directory if it is short enough and still leads there, else its magic link.

    Args:
        room: the bytes there are for it.
        unfit: characters that a path must not have.
    """
    magic = f"/proc/self/fd/{fd}"
    path = os.readlink(magic)
    if len(os.fsencode(path)) > room or any(character in path for character in unfit):
        return magic
    try:
        status, wanted = os.stat(path), os.fstat(fd)
    except OSError:
        return magic  # a detached mount, or gone
    return path if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino) else magic


def option_string(lower: Sequence[str], upper: str | None, work: str | None, words: Sequence[str]) -> str:
    """The options of mount(2) for these paths, the lowest layer first. Pure.

    A comma ends an option and a colon ends a layer, so both are escaped, and so is the backslash that does it.
    """
    layers = ":".join(_escape(path, ":") for path in reversed(lower))
    directories = [f"lowerdir={layers}"]
    if upper is not None and work is not None:
        directories += [f"upperdir={_escape(upper)}", f"workdir={_escape(work)}"]
    return ",".join([*directories, *words])


def _escape(path: str, more: str = "") -> str:
    return "".join("\\" + character if character in "\\," + more else character for character in path)


def _mount_page(
    lower: Sequence[int], upper: int | None, work: int | None, attributes: int, words: Sequence[str], staging: str
) -> int:
    data = ""
    for room in (PAGE_BYTES, 0):  # with paths, for whoever reads /proc/mounts; if they do not fit, with magic links
        names = [name_of(fd, room) for fd in lower]
        upper_name = None if upper is None else name_of(upper, room)
        data = option_string(names, upper_name, None if work is None else name_of(work, room), words)
        if len(os.fsencode(data)) <= PAGE_BYTES:
            break
    else:
        raise OSError(errno.E2BIG, f"mount(overlay): {len(lower)} layers do not fit into one page of options")
    with _point(lower[0], staging) as place:
        syscalls.mount("overlay", place, "overlay", 0, data)
        try:
            if attributes:  # those of this mount, not of the file system: mount_setattr(2) is as late as Linux 5.12
                syscalls.mount(None, place, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | _flags(attributes))
            return mounts.copy(place)
        finally:
            syscalls.umount2(place, syscalls.MNT_DETACH)


def make_readonly(fd: int) -> None:
    """Make a detached mount read-only. OSError as of mount_setattr(2); `fd` stands for the mount afterwards too."""
    try:
        mounts.restrict(fd, ["ro"])
        return
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # Before Linux 5.12 only a mount that has a place can be made read-only: give it one for a moment.
    with _point(fd) as place:
        mounts.attach_path(fd, place)
        try:
            syscalls.mount(None, place, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)
            copy = mounts.copy(place)
        finally:
            syscalls.umount2(place, syscalls.MNT_DETACH)
    os.dup2(copy, fd, inheritable=False)
    os.close(copy)


@contextlib.contextmanager
def _point(number: int, staging: str = "/run") -> Iterator[str]:
    """A directory to mount on for a moment; `number` tells it from another that this process makes meanwhile."""
    place = os.path.join(staging, f".hako-overlay-{os.getpid()}-{number}")
    os.mkdir(place, 0o700)
    try:
        yield place
    finally:
        os.rmdir(place)


def _flags(attributes: int) -> int:
    """MOUNT_ATTR_* of fsmount(2) as the MS_* of mount(2)."""
    return sum(flag for flag, attribute in mounts.ATTRIBUTES.values() if flag and attribute & attributes == attribute)


def _probe() -> str:
    """Set options on a context that is never mounted, and see which the kernel takes."""
    context = syscalls.fsopen("overlay")
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _takes(context, syscalls.FSCONFIG_SET_STRING, "no-such-option", "x"):
            return "page"  # before 6.5 overlay read its options only at the end, so it takes any word now
        if _takes(context, syscalls.FSCONFIG_SET_FD, "lowerdir+", None, root):
            return "fd"
        return "string" if _takes(context, syscalls.FSCONFIG_SET_STRING, "lowerdir+", "/") else "page"
    finally:
        os.close(root)
        os.close(context)


def _takes(context: int, command: int, key: str, value: str | None, fd: int = 0) -> bool:
    try:
        syscalls.fsconfig(context, command, key, value, fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True
