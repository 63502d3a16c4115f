"""One engine for the tests of a module, and the base images made once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.lab import Lab
from tests.engine.engines import Engine, drop_images, shared_images


@pytest.fixture(scope="session", autouse=True)
def base_images() -> Iterator[None]:
    """Deletes the shared images at the end."""
    yield
    drop_images()


@pytest.fixture(scope="module")
def engine(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine."""
    folder: Path = tmp_path_factory.mktemp(module_instance)
    with Engine(module_instance, folder, shared_images()) as made:
        yield made


@pytest.fixture
def own_engine(instance: str, tmp_path: Path) -> Iterator[Engine]:
    """An engine for one test that restarts it: what others hold of the shared one would be lost."""
    with Engine(instance, tmp_path / "engine", shared_images()) as made:
        yield made


@pytest.fixture(scope="module")
def lab(engine: Engine) -> Iterator[Lab]:
    """One lab for the tests that change nothing in it that another would see."""
    made = engine.run(engine.labs.create("tests"))
    yield made
    engine.run(engine.labs.remove(made))
