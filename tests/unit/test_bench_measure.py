"""The benchmarks' arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.contenders import CannotRun, sample
from tests.bench.measure import Spread, keep, percentile, ratios, spread


def test_spread_is_median_and_tenths() -> None:
    """Of 0 to 100 they are what one expects; of a single sample they are that."""
    assert spread(range(101)) == Spread(10, 50, 90, 101)
    assert spread([7.0]) == Spread(7, 7, 7, 1)


def test_a_percentile_is_one_of_the_samples() -> None:
    """Nearest rank: the 99th of a hundred is the second largest, of ten the largest."""
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile(list(range(1, 11)), 99) == 10
    assert percentile([5.0], 50) == 5.0


def test_ratios_are_taken_pair_by_pair() -> None:
    """A round in which the machine was slow for both does not change the ratio."""
    assert ratios([2, 20, 2], [1, 10, 1]) == Spread(2, 2, 2, 3)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])


def test_a_sample_is_milliseconds_from_the_request() -> None:
    """From nanoseconds; a program that wrote anything but one number did not run as it should."""
    made = sample(1_000_000, b"3500000\n", 5_000_000)
    assert (made.start_ms, made.run_ms) == (2.5, 4.0)
    with pytest.raises(CannotRun):
        sample(0, b"", 1)


def test_results_can_be_kept_as_json(tmp_path: Path) -> None:
    """Spreads become maps; without a file nothing happens."""
    keep(None, {})
    keep(tmp_path / "out.json", {"Hako: start": spread([1.0]), "refused": {"crun": "hybrid"}})
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["Hako: start"]["p50"] == 1.0
    assert told["refused"] == {"crun": "hybrid"}
