"""A root file system put together from this machine's files, such that nothing private of the machine gets in.

Only paths below the folders of packages (`SHAREABLE`) are ever copied. Owners become root, set-id bits and file
capabilities are not copied, symbolic links are copied link by link as long as every step stays in those folders.
Whatever was read is remembered with size and time, so that a later start can see whether anything changed.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

# Where packages put what everybody may read. No /home, /root, /var, /srv, and of /etc only what is named.
SHAREABLE = (
    "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/etc/alternatives/", "/etc/iproute2/", "/etc/ssl/certs/",
    "/etc/pki/tls/certs/", "/etc/pki/ca-trust/extracted/", "/etc/terminfo/",
)  # fmt: skip
_LINKS = 16  # symbolic links on the way to one file; the kernel stops at 40
_TOP_FOLDERS = ("bin", "sbin", "lib", "lib64", "usr/sbin")  # links on a machine with merged /usr

Fact = tuple[int, int]  # size, mtime in ns; (-1, -1) for what was not there


class NotShareable(ValueError):
    """A path outside the folders that may be copied."""


class RootFs:
    """A directory tree that becomes a layer.

    Args:
        top: an empty directory.
        relocate: {prefix on the machine: prefix in the tree}, for a Python below somebody's home.
    """

    def __init__(self, top: Path, relocate: dict[str, str] | None = None) -> None:
        self.top = top
        self.sources: dict[str, Fact] = {}
        self._relocate = relocate or {}
        self._timed: set[str] = set()

    # Making

    def directory(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """A directory, its parents made as needed; `owner` is both user and group id."""
        place = self._place(path)
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(mode)
        os.chown(place, owner, owner)

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """A file with this content."""
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # never write through a link: it would lead out of the tree
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        place.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """A symbolic link, unless something is there already."""
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(place):
            place.symlink_to(target)

    def mirror_top(self) -> None:
        """/bin and its like as on this machine: links into /usr where it is merged, else directories."""
        for name in _TOP_FOLDERS:
            source = Path("/", name)
            if source.is_symlink():
                self.directory("/usr/" + name.removeprefix("usr/") if not name.startswith("usr/") else "/usr/bin")
                self.link("/" + name, os.readlink(source).lstrip("/"))  # relative, so that it stays in the tree
            elif source.is_dir():
                self.directory("/" + name)

    # Copying

    def copy(self, path: str, *, to: str | None = None) -> str:
        """Copy a file of this machine, and the symbolic links that lead to it.

        Args:
            path: absolute.
            to: another place in the tree, for the file alone, without the links that lead to it.

        Returns:
            The file's real path on the machine.

        Raises:
            NotShareable: the path, or where a link leads, is not in SHAREABLE (nor relocated).
            OSError: it cannot be read.
        """
        for _ in range(_LINKS):
            path = canonical(path)
            self._check(path)
            status = os.lstat(path)
            if not stat.S_ISLNK(status.st_mode):
                self._copy_file(path, status, to or self.target(path))
                return path
            target = os.readlink(path)
            following = canonical(os.path.join(os.path.dirname(path), target))
            self._check(following)
            if to is None:
                self._remember(path, status)
                self.link(self.target(path), self.target(target) if target.startswith("/") else target)
            path = following
        raise NotShareable(f"{path}: more than {_LINKS} symbolic links")

    def copy_tree(self, path: str, *, leave_out: frozenset[str] = frozenset()) -> None:
        """Copy a directory of this machine: regular files, and links that stay inside it.

        Args:
            leave_out: names (of files or directories, at any depth) that stay behind.
        """
        path = canonical(path)
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if name not in leave_out)
            for name in sorted(set(files) - leave_out):
                source = os.path.join(folder, name)
                if os.path.realpath(source).startswith(path + "/") and os.path.isfile(source):
                    self.copy(source)

    def target(self, path: str) -> str:
        """Where a path of the machine lies in the tree."""
        for prefix, replacement in self._relocate.items():
            if path == prefix or path.startswith(prefix + "/"):
                return replacement + path[len(prefix) :]
        return path

    def missing(self, path: str) -> None:
        """Remember that a path was not there: a later start looks again."""
        self.sources[path] = (-1, -1)

    def finish(self) -> None:
        """One time for all that has no time of its own: the same content gives the same layer on every run."""
        for folder, folders, files in os.walk(self.top, topdown=False):
            for name in [*files, *folders]:
                place = os.path.join(folder, name)
                if os.path.islink(place) or (name in files and place not in self._timed):
                    os.utime(place, (0, 0), follow_symlinks=False)
            os.utime(folder, (0, 0))

    def _copy_file(self, path: str, status: os.stat_result, to: str) -> None:
        place = self._place(to)
        if os.path.lexists(place):
            return
        if not stat.S_ISREG(status.st_mode):
            raise NotShareable(f"{path}: not a regular file")
        self._remember(path, status)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        # Readable by all, writable by nobody else; set-id bits have no place in an image made from a machine.
        place.chmod(0o755 if status.st_mode & 0o111 else 0o644)
        os.utime(place, (int(status.st_mtime), int(status.st_mtime)))  # a .pyc names its source's time
        self._timed.add(str(place))

    def _remember(self, path: str, status: os.stat_result) -> None:
        self.sources[path] = (status.st_size, status.st_mtime_ns)

    def _check(self, path: str) -> None:
        if not path.startswith(SHAREABLE) and self.target(path) == path:
            raise NotShareable(f"{path} does not belong into an image")

    def _place(self, path: str) -> Path:
        return self.top / path.lstrip("/")


def canonical(path: str) -> str:
    """A path with its folder's links resolved, the last part not: /bin/sh becomes /usr/bin/sh where /usr is merged."""
    folder, name = os.path.split(os.path.normpath(path))
    return os.path.join(os.path.realpath(folder), name)


def fact(path: str) -> Fact:
    """What `RootFs.sources` would remember of a path now."""
    try:
        status = os.lstat(path)
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
