"""Parsers of /proc never break on bytes that a learner can put there."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from engine.linux import procfs
from engine.observe.model import text

NAMES = st.binary(max_size=15).filter(lambda name: b"\n" not in name and b"\0" not in name)
PATHS = st.binary(min_size=1, max_size=30).filter(lambda path: b"\0" not in path)


def escaped(path: bytes) -> bytes:
    """As the kernel's mangle() writes a path: blank, tab, newline and backslash in octal."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in path)


@given(NAMES, st.integers(1, 2**22), st.integers(0, 2**40))
def test_stat_of_any_name(name: bytes, pid: int, start: int) -> None:
    """The fields after comm are found whatever comm holds."""
    fields = [str(number).encode() for number in range(4, 22)]
    stat = procfs.parse_stat(b"%d (%s) R %s %d 0 0\n" % (pid, name, b" ".join(fields), start))
    assert (stat.pid, os.fsencode(stat.comm), stat.starttime, stat.ppid) == (pid, name, start, 4)


@given(st.lists(st.tuples(PATHS, PATHS), max_size=5))
def test_mountinfo_gives_paths_back(paths: list[tuple[bytes, bytes]]) -> None:
    """Target and source come out as they went in."""
    lines = [
        b"%d 1 0:9 / %s rw shared:3 - tmpfs %s rw\n" % (number, escaped(b"/" + target), escaped(source))
        for number, (target, source) in enumerate(paths)
    ]
    mounts = procfs.parse_mountinfo(b"".join(lines))
    assert [(os.fsencode(one.target), os.fsencode(one.source)) for one in mounts] == [
        (b"/" + target, source) for target, source in paths
    ]


@given(st.binary(max_size=300))
def test_rubbish_is_survived(rubbish: bytes) -> None:
    """Tables that make no sense give fewer lines, not an exception."""
    procfs.parse_cgroup(rubbish)
    assert len(procfs.parse_mountinfo(b"x" + rubbish.replace(b" - ", b" "))) == 0


@given(st.binary(max_size=60))
def test_text_can_always_travel(raw: bytes) -> None:
    """Whatever the bytes were, the text encodes; and text that was UTF-8 is not changed."""
    told = text(os.fsdecode(raw))
    told.encode()
    try:
        assert told == raw.decode()
    except UnicodeDecodeError:
        assert "\\x" in told
