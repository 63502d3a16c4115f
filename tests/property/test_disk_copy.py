"""The sparse copy behind every lab's disk."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.storage.template import copy_sparse

BLOCK = 4096
_segments = st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=3 * BLOCK)), max_size=5)


@settings(max_examples=50, deadline=None)
@given(_segments, st.integers(0, 60 * BLOCK), st.booleans())
def test_copy_has_the_same_bytes_and_the_same_holes(
    segments: list[tuple[int, bytes]], size: int, in_kernel: bool
) -> None:
    """Data and holes anywhere: the copy reads the same and takes no more room, with copy_file_range or without."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target, pytest.MonkeyPatch.context() as patch:
        if not in_kernel:
            patch.setattr(os, "copy_file_range", _refuse)
        for block, data in segments:
            os.pwrite(source.fileno(), data, block * BLOCK)
        os.ftruncate(source.fileno(), size)
        copy_sparse(source.fileno(), target.fileno())
        source.seek(0)
        target.seek(0)
        assert target.read() == source.read()
        assert os.fstat(target.fileno()).st_blocks <= os.fstat(source.fileno()).st_blocks


def _refuse(*_: object) -> int:
    raise OSError(errno.EXDEV, "copy_file_range: another file system")
