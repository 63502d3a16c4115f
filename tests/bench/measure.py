"""Samples, their median and spread, ratios, and the table they are shown in. Pure but for the printing."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Spread:
    """Median with the tenth and ninetieth percentile, in the unit of the samples, and how many there were."""

    p10: float
    p50: float
    p90: float
    count: int

    def text(self, unit: str = "", digits: int = 2) -> str:
        """ "1.23 ms (1.10 to 1.56)"."""
        return f"{self.p50:.{digits}f}{unit and ' ' + unit} ({self.p10:.{digits}f} to {self.p90:.{digits}f})"


def spread(samples: Sequence[float]) -> Spread:
    """Median and spread of at least one sample."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0], 1)
    tenths = statistics.quantiles(samples, n=10, method="inclusive")
    return Spread(tenths[0], statistics.median(samples), tenths[-1], len(samples))


def percentile(samples: Sequence[float], percent: float) -> float:
    """The value that `percent` of the samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def ratios(samples: Sequence[float], base: Sequence[float]) -> Spread:
    """How many times as long as the base, pair by pair: what both suffered in the same round cancels out."""
    return spread([sample / other for sample, other in zip(samples, base, strict=True)])


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> Table:
    """A table for the terminal; the first column names, the others are numbers."""
    made = Table(title=title, title_justify="left", caption=note, caption_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def show(console: Console, made: Table) -> None:
    """Print a table with a line before it."""
    console.print()
    console.print(made)


def keep(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write results as JSON, if a file was named."""
    if path is not None:
        plain = {key: asdict(value) if isinstance(value, Spread) else value for key, value in results.items()}
        path.write_text(json.dumps(plain, indent=1) + "\n")
