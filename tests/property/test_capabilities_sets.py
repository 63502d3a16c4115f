"""Sets of capabilities, for every set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.linux import capabilities as caps

SETS = st.integers(0, caps.ALL)
WORDS = st.lists(st.sampled_from([*caps.NAMES, "ALL"]), max_size=6)


@given(SETS)
def test_names_and_mask_are_inverse(bits: int) -> None:
    """A set turned into names and back is the same set."""
    assert caps.mask(caps.names(bits)) == bits


@given(SETS, WORDS, WORDS)
def test_what_is_dropped_by_name_is_gone(base: int, add: list[str], drop: list[str]) -> None:
    """No combination of words brings back a capability dropped by its own name."""
    named = caps.mask([name for name in drop if name != "ALL"])
    assert caps.tweak(base, add, drop) & named == 0
