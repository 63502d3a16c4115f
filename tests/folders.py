"""Empty directories for a test: what unions are made of."""

from __future__ import annotations

from pathlib import Path


def folders(top: Path, *names: str) -> list[Path]:
    """Make directories below `top`, with those above them."""
    for name in names:
        (top / name).mkdir(parents=True)
    return [top / name for name in names]
