"""Containers on a driver that is not overlay: what they see and change is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.storage.vfs import VfsDriver
from tests.engine.engines import Engine, shared_images

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def copying(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose containers get a copy of their image."""
    with Engine(module_instance, tmp_path_factory.mktemp(module_instance), shared_images()) as made:
        made.containers._machine = replace(made.machine, union=VfsDriver())
        yield made


def test_a_container_on_a_copy(copying: Engine) -> None:
    """It starts, its root is no union, two of them do not see each other's changes, and nothing gets into the image."""
    script = "grep ' / / ' /proc/self/mountinfo; echo mine >/etc/motd; rm /etc/group; cat /etc/motd; ls /etc/group"
    code, text = copying.output("sh", "-c", script)
    assert code != 0 and "mine" in text and " - overlay " not in text
    code, text = copying.output("sh", "-c", "cat /etc/group; test ! -e /etc/motd")
    assert code == 0 and text.startswith("root:")


def test_a_stopped_container_keeps_its_changes(copying: Engine) -> None:
    """The copy is made once: the second start finds what the first left."""
    container = copying.container("sh", "-c", "test -e /seen && exit 3; touch /seen")
    assert copying.run(copying.ended(container)) == 0
    copying.run(copying.containers.start(container))
    assert copying.run(copying.ended(container)) == 3
    folder = Path(copying.settings.data, "containers", container.id)
    assert "seen" in os.listdir(folder / "upper")
