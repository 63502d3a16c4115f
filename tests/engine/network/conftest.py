"""A host and a world for each test, settings of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.settings import Settings
from tests.engine.wires import Wires, wires


@pytest.fixture
def net() -> Iterator[Wires]:
    """A host with an uplink to a world."""
    with wires() as net:
        yield net


@pytest.fixture
def settings(instance: str, tmp_path: Path) -> Settings:
    """Settings of an engine of this test's own."""
    return Settings(instance=instance, data=tmp_path, run=tmp_path)
