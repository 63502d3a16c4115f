"""Id maps and the allocator of id blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput, Exhausted, Failed
from engine.linux.idmap import BLOCK_SIZE, BlockAllocator, IdMap, format_map, parse_map, to_container

BASE = 1_000_000_000


def test_map_looks_as_the_kernel_wants_it() -> None:
    """Lines of inside, outside, count."""
    assert format_map([IdMap(0, BASE, 1), IdMap(1, BASE + 5, 10)]) == b"0 1000000000 1\n1 1000000005 10\n"


def test_kernels_padded_lines_are_read() -> None:
    """uid_map files pad their numbers; the initial namespace maps all but one id."""
    assert parse_map(b"         0          0 4294967295\n") == (IdMap(0, 0, 4294967295),)
    assert parse_map(b"") == ()


@pytest.mark.parametrize("text", [b"0 0\n", b"a b c\n", b"0 -1 5\n", b"0 0 1 1\n"])
def test_other_text_is_refused(text: bytes) -> None:
    """What is not three numbers is an error, never a guess."""
    with pytest.raises(BadInput):
        parse_map(text)


def test_ids_translate_both_ways() -> None:
    """The first and last id of a line are in it, their neighbours are not."""
    line = IdMap(100, BASE, 10)
    assert (line.to_host(100), line.to_host(109), line.to_host(110), line.to_host(99)) == (BASE, BASE + 9, None, None)
    assert to_container([IdMap(0, 5, 1), line], BASE + 3) == 103
    assert to_container([line], 7) is None


@pytest.mark.parametrize("lines", [[], [IdMap(0, 0, 5), IdMap(4, 100, 5)], [IdMap(0, 100, 5), IdMap(50, 104, 5)]])
def test_maps_the_kernel_would_refuse_are_refused_first(lines: list[IdMap]) -> None:
    """No line, or lines that overlap on either side: EINVAL in the kernel, a sentence here."""
    with pytest.raises(BadInput):
        format_map(lines)


def test_ranges_beyond_32_bits_are_refused() -> None:
    """2^32-1 is not an id."""
    with pytest.raises(BadInput):
        IdMap(0, 2**32 - 10, 20)


def test_blocks_do_not_overlap_and_outlive_a_restart(tmp_path: Path) -> None:
    """Each owner has its own block, the same one after the daemon began anew."""
    state = tmp_path / "ids.json"
    first = BlockAllocator(state, BASE)
    one, two = first.allocate("one"), first.allocate("two")
    assert abs(one.host_id - two.host_id) >= BLOCK_SIZE and one.size == BLOCK_SIZE and one.container_id == 0
    again = BlockAllocator(state, BASE)
    assert (again.allocate("one"), again.get("two"), again.get("three")) == (one, two, None)
    assert set(again.owners()) == {"one", "two"}


def test_released_block_comes_back_last(tmp_path: Path) -> None:
    """A block is reused only when all others were used, also over a restart."""
    state, end = tmp_path / "ids.json", BASE + 3 * BLOCK_SIZE
    allocator = BlockAllocator(state, BASE, id_end=end)
    released = allocator.allocate("a")
    allocator.release("a")
    allocator = BlockAllocator(state, BASE, id_end=end)
    following = [allocator.allocate(name).host_id for name in "bcd"]
    assert following[2] == released.host_id and len(set(following)) == 3
    with pytest.raises(Exhausted):
        allocator.allocate("e")
    allocator.release("nobody")
    allocator.release("c")
    assert allocator.allocate("e").host_id == following[1]


def test_moved_base_never_hands_out_a_living_owners_ids(tmp_path: Path) -> None:
    """After a change of id_base the old owners keep their ids and nobody gets a part of them."""
    state = tmp_path / "ids.json"
    kept = BlockAllocator(state, BASE, id_end=BASE + BLOCK_SIZE).allocate("old")
    moved = BlockAllocator(state, BASE - 100, id_end=BASE - 100 + 3 * BLOCK_SIZE)
    assert moved.allocate("old") == kept
    assert abs(moved.allocate("new").host_id - kept.host_id) >= BLOCK_SIZE


def test_two_instances_begin_at_different_places(tmp_path: Path) -> None:
    """Two engines on one machine do not start with the same block."""
    blocks = {
        BlockAllocator(tmp_path / name, BASE, instance=name).allocate("lab").host_id for name in ("hako", "hka", "hkb")
    }
    assert len(blocks) == 3


@pytest.mark.parametrize("content", ["", "[]", '{"first_ids": {"a": "x"}, "next": 0}', '{"first_ids": []}'])
def test_damaged_state_stops_the_allocator(tmp_path: Path, content: str) -> None:
    """Guessing could give one block to two labs, so it says what to do instead."""
    state = tmp_path / "ids.json"
    state.write_text(content)
    with pytest.raises(Failed, match=r"ids\.json"):
        BlockAllocator(state, BASE)


def test_impossible_ranges_are_refused(tmp_path: Path) -> None:
    """A base without room, or one that would hand out the host's own users."""
    for base in (2**31, 0):
        with pytest.raises(BadInput):
            BlockAllocator(tmp_path / "ids", base)
