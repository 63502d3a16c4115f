"""mount.aufs: what mount(8) runs for `mount -t aufs`, and mount.fuse.aufs for a remount without a type.

    mount.aufs SOURCE DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS]

A first mount leaves a process behind that serves it (service.py) and returns when it can be used; `-o remount,…` is
handed to that process. Errors are one sentence each, and exit statuses are mount(8)'s: 1 wrong use, 32 the mount
failed.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from engine.errors import EngineError
from engine.storage.aufs_fuse import options as texts
from engine.storage.aufs_fuse.filesystem import FileSystem

USE, FAILED = 1, 32
#: Where the packages of this program lie in hako/lab; libfuse is loaded by its own name, since nothing lists it there.
_LIBRARIES = ("libfuse3.so.4", "libfuse3.so.3")


def parse(arguments: list[str]) -> tuple[str, str, str]:
    """(source, directory, options) of a command line that mount(8) made.

    Raises:
        ValueError: it is none.
    """
    words, text = [], []
    rest = iter(arguments)
    for word in rest:
        if word == "-o":
            text.append(next(rest, ""))
        elif word in ("-N", "-t"):
            next(rest, "")
        elif not word.startswith("-"):
            words.append(word)
    if len(words) != 2:
        raise ValueError("usage: mount -t aufs -o br=/rw=rw:/ro=ro none DIRECTORY")
    return words[0], words[1], ",".join(text)


def main(arguments: list[str]) -> int:
    """Mount, or hand a remount on; returns the exit status."""
    try:
        source, directory, text = parse(arguments)
    except ValueError as error:
        return _say(str(error), USE)
    if "remount" in text.split(","):
        return _remount(directory, text)
    try:
        files = FileSystem(texts.parse(text))
    except EngineError as error:
        return _say(str(error), FAILED)
    if not os.path.isdir(directory):
        return _say(f"{directory} is not a directory.", FAILED)
    return _serve(source, os.path.realpath(directory), files)


def _remount(directory: str, text: str) -> int:
    from engine.storage.aufs_fuse.service import CONTROL

    try:
        os.setxattr(directory, CONTROL, text.encode())
    except OSError as error:
        try:
            why = os.getxattr(directory, CONTROL).decode()
        except OSError:
            why = f"{directory} is no aufs of ours: {error.strerror}."
        return _say(why, FAILED)
    return 0


def _serve(source: str, directory: str, files: FileSystem) -> int:
    """Fork the process that serves the mount; return when the mount answers, or when it has failed."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        _become_service(source, directory, files, write)
    os.close(write)
    with os.fdopen(read) as said:
        why = said.read()
    return _say(why.removeprefix("!"), FAILED) if why.startswith("!") else 0


def _become_service(source: str, directory: str, files: FileSystem, tell: int) -> NoReturn:
    os.setsid()
    os.chdir("/")
    try:
        _find_libfuse()
        from engine.linux import syscalls
        from engine.storage.aufs_fuse import state
        from engine.storage.aufs_fuse.binding import Binding
        from engine.storage.aufs_fuse.service import Service

        syscalls.set_name(state.PROCESS)

        class Telling(Service):
            """Says when the kernel has accepted the mount, then lets go of the caller's terminal."""

            def init(self, path: str) -> None:
                null = os.open("/dev/null", os.O_RDWR)
                for fd in (0, 1, 2):
                    os.dup2(null, fd)
                os.close(tell)

        Binding(
            Telling(files, state.keep(directory)), directory, foreground=True, nothreads=True, fsname=source,
            subtype="aufs", allow_other=True, default_permissions=True,
            # Nothing is remembered: a branch may change below us, and two names may be one file.
            attr_timeout=0, entry_timeout=0, negative_timeout=0,
        )  # fmt: skip
    except (OSError, RuntimeError, ImportError) as error:
        _fail(tell, f"!aufs on {directory} could not be mounted: {error}.")
    os._exit(0)


def _fail(tell: int, text: str) -> NoReturn:
    try:
        os.write(tell, text.encode())
    except OSError:
        pass  # it was mounted, and ended later: nobody waits any more
    os._exit(FAILED)


def _find_libfuse() -> None:
    import ctypes

    if "FUSE_LIBRARY_PATH" in os.environ:
        return
    for name in _LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        os.environ["FUSE_LIBRARY_PATH"] = name
        return


def _say(text: str, status: int) -> int:
    print(f"mount.aufs: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
