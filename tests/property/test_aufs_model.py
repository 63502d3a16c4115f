"""The AUFS union against a plain directory: whatever is done to both, they look the same; no lower branch changes."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.storage.aufs_fuse import options
from engine.storage.aufs_fuse.filesystem import FileSystem

NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
DATA = st.binary(max_size=20)
#: What a plain directory can do and this union may refuse: a directory, or a link, across branches.
MAY_REFUSE = {errno.EXDEV}


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """All below a plain directory: kind, mode, content."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        found[str(path.relative_to(root))] = _described(path.lstat(), path.read_bytes, path.readlink)
    return found


def _described(seen: os.stat_result, content: Callable[[], bytes], link: Callable[[], object]) -> tuple[object, ...]:
    mode = stat.S_IMODE(seen.st_mode)
    if stat.S_ISLNK(seen.st_mode):
        return ("link", str(link()))
    if stat.S_ISDIR(seen.st_mode):
        return ("directory", mode)
    return ("file", mode, content())


def shown(union: FileSystem, path: str = "") -> dict[str, tuple[object, ...]]:
    """All the union shows."""
    found: dict[str, tuple[object, ...]] = {}
    for name in union.listdir(path):
        below = f"{path}/{name}" if path else name
        seen = union.lstat(below)
        found[below] = _described(seen, partial(read, union, below), partial(union.readlink, below))
        if stat.S_ISDIR(seen.st_mode):
            found |= shown(union, below)
    return found


def read(union: FileSystem, path: str) -> bytes:
    """A file's content."""
    fd = union.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 1 << 16)
    finally:
        union.release(fd)


class Model(RuleBasedStateMachine):
    """Three branches, the top one writable and at times the middle one too; and a directory that is their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="hako-aufs-"))
        self.plain = self.folder / "plain"
        self.held: list[tuple[int, int]] = []
        self.branches = [self.folder / name for name in ("top", "middle", "bottom")]
        for path in (self.plain, *self.branches):
            path.mkdir()

    @initialize(
        lower=st.lists(st.tuples(PATHS, DATA, st.booleans()), max_size=6),
        middle=st.sampled_from(["rw", "ro", "ro+wh"]),
        policy=st.sampled_from(["tdp", "rr", "mfs"]),
    )
    def begin(self, lower: list[tuple[str, bytes, bool]], middle: str, policy: str) -> None:
        """Fill the lower branches and mount."""
        for path, data, bottom in lower:
            branch = self.branches[2 if bottom else 1]
            target, plain = branch / path, self.plain / path
            try:
                plain.parent.mkdir(parents=True, exist_ok=True)
                with plain.open("xb") as file:
                    file.write(data)
            except (FileExistsError, NotADirectoryError):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        top, mid, low = self.branches
        self.middle_writable = middle == "rw"
        self.union = FileSystem(options.parse(f"br={top}=rw:{mid}={middle}:{low}=ro,create={policy}"))
        self.frozen = [tree(path) for path in self.branches[1:]]

    def both(self, on_union: Callable[[], object], on_plain: Callable[[], object]) -> None:
        """Do the same to both; they agree on whether it works."""
        refused = None
        try:
            on_union()
        except OSError as error:
            refused = error.errno
            if refused in MAY_REFUSE:
                return
        try:
            on_plain()
        except OSError as error:
            assert refused is not None, f"the plain directory refused: {error}"
            return
        assert refused is None, f"the union refused: {errno.errorcode[refused]}"

    @rule(path=PATHS, data=DATA)
    def write(self, path: str, data: bytes) -> None:
        """Write a file, new or old."""

        def on_union() -> None:
            try:
                fd = self.union.open(path, os.O_WRONLY | os.O_TRUNC)
            except FileNotFoundError:
                fd = self.union.create(path, 0o644)
            os.write(fd, data)
            self.union.release(fd)

        self.both(on_union, lambda: (self.plain / path).write_bytes(data))

    @rule(path=PATHS)
    def hold(self, path: str) -> None:
        """Open a file and keep it open: both go on showing the same, whatever is done to it or to its name."""
        if (self.plain / path).is_file() and len(self.held) < 4:
            self.held.append((self.union.open(path, os.O_RDONLY), os.open(self.plain / path, os.O_RDONLY)))

    @rule(path=PATHS)
    def mkdir(self, path: str) -> None:
        """Make a directory."""
        self.both(lambda: self.union.mkdir(path, 0o755), lambda: (self.plain / path).mkdir(0o755))

    @rule(path=PATHS)
    def unlink(self, path: str) -> None:
        """Remove a file."""
        self.both(lambda: self.union.unlink(path), lambda: (self.plain / path).unlink())

    @rule(path=PATHS)
    def rmdir(self, path: str) -> None:
        """Remove a directory."""
        self.both(lambda: self.union.rmdir(path), lambda: (self.plain / path).rmdir())

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: str, new: str) -> None:
        """Rename."""
        if new.startswith(old + "/") or old.startswith(new + "/"):
            return  # the kernel refuses these before a file system is asked
        self.both(lambda: self.union.rename(old, new), lambda: os.rename(self.plain / old, self.plain / new))

    @rule(path=PATHS)
    def symlink(self, path: str) -> None:
        """Make a symbolic link that leads nowhere: the kernel follows links, not the file system."""
        name = f"{path}.link"
        self.both(lambda: self.union.symlink("nowhere", name), lambda: (self.plain / name).symlink_to("nowhere"))

    @rule(path=PATHS, mode=st.sampled_from([0o600, 0o755, 0o444]))
    def chmod(self, path: str, mode: int) -> None:
        """Change a mode."""
        self.both(lambda: self.union.chmod(path, mode), lambda: (self.plain / path).chmod(mode))

    @rule(old=PATHS, new=PATHS)
    def link(self, old: str, new: str) -> None:
        """Give a second name, and take the link apart again, since only its content is compared."""
        if (self.plain / old).is_dir():
            return
        self.both(lambda: self.union.link(old, new), lambda: os.link(self.plain / old, self.plain / new))

    @invariant()
    def same(self) -> None:
        """The union shows what the plain directory holds, and read-only branches are as they were."""
        if not hasattr(self, "union"):
            return
        assert shown(self.union) == tree(self.plain)
        for mine, plain in self.held:
            assert os.pread(mine, 1 << 16, 0) == os.pread(plain, 1 << 16, 0)
        if not self.middle_writable:
            assert tree(self.branches[1]) == self.frozen[0]
        assert tree(self.branches[2]) == self.frozen[1]

    def teardown(self) -> None:
        """Remove everything."""
        if hasattr(self, "union"):
            for mine, plain in self.held:
                self.union.release(mine)
                os.close(plain)
            self.union.close()
        shutil.rmtree(self.folder)


Model.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestAufsModel = Model.TestCase
