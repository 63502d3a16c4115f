"""Layers as tar and as directories: whatever the tree, whatever the archive."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.storage import digests, pack, whiteouts
from engine.storage.tree import walk
from engine.storage.unpack import Limits, unpack

pytestmark = pytest.mark.root

# Few names, so that entries meet; one that is not UTF-8, one too long for a plain tar header, one with a newline.
NAMES = ("a", "b", "c\udcff", "d" * 120, "e\nf", "日本")
_trees = st.recursive(
    st.one_of(
        st.tuples(st.just("file"), st.binary(max_size=2000), st.sampled_from([0o644, 0o755, 0o4755])),
        st.tuples(st.just("link"), st.sampled_from(["/etc/passwd", "../..", "a", "x" * 150])),
        st.just(("whiteout",)),
        st.just(("fifo",)),
    ),
    lambda inner: st.tuples(st.just("dir"), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), st.booleans()),
    max_leaves=12,
)
_tops = st.dictionaries(st.sampled_from(NAMES), _trees, max_size=5)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _build(place: Path, node: tuple[object, ...]) -> None:
    kind = node[0]
    if kind == "file":
        place.write_bytes(node[1])  # type: ignore[arg-type]
        os.chown(place, 7, 8)
        place.chmod(node[2])  # type: ignore[arg-type]
        os.setxattr(place, "user.note", b"\xff\x00")
        os.utime(place, (5, 5))
    elif kind == "link":
        place.symlink_to(str(node[1]))
    elif kind == "whiteout":
        os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
    elif kind == "fifo":
        os.mkfifo(place, 0o640)
    else:
        place.mkdir()
        for name, child in node[1].items():  # type: ignore[attr-defined]
            _build(place / name, child)
        if node[2]:
            os.setxattr(place, "trusted.overlay.opaque", b"y")


def _facts(top: Path) -> list[tuple[object, ...]]:
    """All that a layer must keep of each entry."""
    found = []
    for entry in walk(top):
        status = entry.status
        facts: list[object] = [entry.path, status.st_mode, status.st_uid, status.st_gid]
        if entry.is_dir:
            facts += [whiteouts.is_opaque(entry.fd), int(status.st_mtime) if entry.path else 0]
        elif stat.S_ISREG(status.st_mode):
            path = top / entry.path
            facts += [path.read_bytes(), int(status.st_mtime), os.getxattr(path, "user.note")]
        elif stat.S_ISLNK(status.st_mode):
            facts.append(os.readlink(top / entry.path))
        found.append(tuple(facts[:1] + facts[2:] if whiteouts.is_whiteout(status) else facts))
    return found


def _unpack(data: bytes, top: Path, limits: Limits = Limits()) -> str:  # noqa: B008
    fd = os.open(top, os.O_RDONLY)
    try:
        return unpack(io.BytesIO(data), fd, limits).diff_id
    finally:
        os.close(fd)


@settings(max_examples=40, deadline=None)
@given(_tops)
def test_a_tree_survives_the_tar(tree: dict[str, tuple[object, ...]]) -> None:
    """Packed and unpacked, a layer is the same layer; packed again, it is the same bytes, so the same digest."""
    with _folder() as folder:
        first, second = folder / "first", folder / "second"
        first.mkdir()
        second.mkdir()
        for name, node in tree.items():
            _build(first / name, node)
        out = io.BytesIO()
        pack.pack(first, out)
        digest = _unpack(out.getvalue(), second)
        assert _facts(first) == _facts(second)
        again = io.BytesIO()
        pack.pack(second, again)
        assert again.getvalue() == out.getvalue()
        assert digest == digests.of_bytes(out.getvalue())


_parts = st.sampled_from(["a", "b", "l", "..", ".", "", "/", ".wh.a", ".wh..wh..opq", ".wh.", ".wh...", ".wh..wh.plnk"])
_paths = st.lists(_parts, min_size=1, max_size=4).map("/".join)
_entries = st.lists(
    st.tuples(
        _paths,
        st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"7"]),
        _paths | st.sampled_from(["{outside}", "/", "../../..", "/proc/self/root", "l"]),
    ),
    max_size=8,
)


def _archive(entries: list[tuple[str, bytes, str]], outside: Path) -> bytes:
    out = io.BytesIO()
    for name, kind, target in entries:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, target.replace("{outside}", str(outside)), 3
        if kind != tarfile.REGTYPE:
            info.size = 0
        out.write(info.tobuf(tarfile.PAX_FORMAT))
        if info.size:
            out.write(b"new".ljust(512, b"\0"))
    return out.getvalue() + bytes(1024)


@settings(max_examples=100, deadline=None)
@given(_entries)
@example([("l", tarfile.SYMTYPE, "{outside}"), ("l/a", tarfile.REGTYPE, "")])
@example([("l", tarfile.SYMTYPE, "../.."), ("l/x/b", tarfile.REGTYPE, "")])
@example([("l", tarfile.SYMTYPE, "{outside}"), ("b", tarfile.LNKTYPE, "l/a")])
@example([("a", tarfile.LNKTYPE, "../outside/a"), ("a", tarfile.REGTYPE, "")])
@example([("l", tarfile.SYMTYPE, "/"), ("l/.wh.a", tarfile.REGTYPE, "")])
def test_no_archive_reaches_outside(entries: list[tuple[str, bytes, str]]) -> None:
    """Whatever names, links and whiteouts an archive has, nothing beside the layer is made, changed or linked to."""
    with _folder() as folder:
        outside, top = folder / "outside", folder / "layer"
        outside.mkdir()
        top.mkdir()
        (outside / "a").write_text("old")
        os.utime(outside, (9, 9))
        before = (os.stat(outside), os.stat(outside / "a"))
        with contextlib.suppress(BadInput):
            _unpack(_archive(entries, outside), top)
        assert sorted(os.listdir(folder)) == ["layer", "outside"]
        assert (os.stat(outside), os.stat(outside / "a")) == before
        assert not any(stat.S_ISBLK(entry.status.st_mode) for entry in walk(top))


_keywords = """
mtime size uid path linkpath SCHILY.xattr.user.x SCHILY.xattr.security.capability SCHILY.xattr.trusted.overlay.redirect
SCHILY.xattr.user.\0 GNU.sparse.size GNU.sparse.map
"""
_pax = st.dictionaries(
    st.sampled_from(_keywords.split()),
    st.sampled_from(["-1", "nan", "1e999", str(2**70), "a\0b", "..", "/", "", "x" * 70_000]),
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(_pax, st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]))
def test_any_extended_header_is_a_layer_or_refused(headers: dict[str, str], kind: bytes) -> None:
    """PAX headers may say anything: what cannot be is refused, and no `trusted.*` xattr ever comes from an archive."""
    info = tarfile.TarInfo("a")
    info.type, info.linkname, info.pax_headers = kind, "b", headers
    with _folder() as folder, contextlib.suppress(BadInput):
        _unpack(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024), folder)
        assert not any(
            name.startswith("trusted.")
            for entry in walk(folder)
            for name in os.listxattr(f"/proc/self/fd/{entry.dirfd}")
        )


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=1500) | st.binary(max_size=600).map(lambda data: data.ljust(512, b"\0") + bytes(1024)))
def test_any_bytes_are_a_layer_or_refused(data: bytes) -> None:
    """Bytes that are no tar end in BadInput, not in another exception and not in a hang."""
    with _folder() as folder, contextlib.suppress(BadInput):
        _unpack(data, folder)
