"""Id maps and blocks, for every sequence."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Exhausted
from engine.linux.idmap import BLOCK_SIZE, BlockAllocator, IdMap, format_map, parse_map, to_container


@st.composite
def maps(draw: st.DrawFn) -> list[IdMap]:
    """Maps whose lines overlap on neither side."""
    inside, outside, lines = 0, 0, []
    for _ in range(draw(st.integers(1, 6))):
        inside += draw(st.integers(0, 1000))
        outside += draw(st.integers(0, 1000))
        size = draw(st.integers(1, 100_000))
        lines.append(IdMap(inside, outside, size))
        inside, outside = inside + size, outside + size
    return draw(st.permutations(lines))


@given(maps())
def test_format_and_parse_are_inverse(lines: list[IdMap]) -> None:
    """A map written and read is the same map."""
    assert parse_map(format_map(lines)) == tuple(lines)


@given(maps(), st.data())
def test_an_id_goes_out_and_comes_back(lines: list[IdMap], data: st.DataObject) -> None:
    """What to_host makes of an inside id, to_container turns back."""
    line = data.draw(st.sampled_from(lines))
    inside = data.draw(st.integers(line.container_id, line.container_id + line.size - 1))
    outside = line.to_host(inside)
    assert outside is not None and to_container(lines, outside) == inside


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=30))
def test_no_two_owners_ever_share_ids(steps: list[tuple[bool, int]]) -> None:
    """Whatever is taken, given back and restarted, blocks of living owners are apart."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "ids"
        for take, number in steps:
            allocator = BlockAllocator(state, BLOCK_SIZE, id_end=5 * BLOCK_SIZE)
            try:
                if take:
                    allocator.allocate(f"o{number}")
                else:
                    allocator.release(f"o{number}")
            except Exhausted:
                assert len(allocator.owners()) == 4
            firsts = [block.host_id for owner in allocator.owners() if (block := allocator.get(owner))]
            assert len(set(firsts)) == len(firsts) and all(first % BLOCK_SIZE == 0 for first in firsts)
