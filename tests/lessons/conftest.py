"""An engine as `hako up` starts it, zygote and daemon with its sockets, for the tests of this folder."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.client import EngineClient
from engine.settings import Settings
from tests.engine.engines import drop_images, link_images

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120.0
END_S = 60.0


@pytest.fixture(scope="session", autouse=True)
def base_images() -> Iterator[None]:
    """Deletes the shared images at the end."""
    yield
    drop_images()


@pytest.fixture(scope="module")
def client(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineClient]:
    """The engine's lab door, as the page has it."""
    folder = tmp_path_factory.mktemp(module_instance)
    settings = Settings(instance=module_instance, data=folder / "data", run=folder / "run")
    settings.run.mkdir()
    link_images(settings.data)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HAKO_INSTANCE": module_instance,
        "HAKO_DATA": str(settings.data),
        "HAKO_RUN": str(settings.run),
    }
    zygote = ["-I", "-S", "engine/runtime/zygote.py"]
    places = ["--socket", str(settings.zygote_socket), "--exits", str(settings.run / "exits")]
    with _process([*zygote, *places], {}, signal.SIGKILL):
        with _process(["-P", "-m", "engine.daemon"], environment, signal.SIGINT, folder / "engine.log"):
            with EngineClient(settings.lab_socket) as made:
                yield made


@contextmanager
def _process(
    arguments: list[str], environment: dict[str, str], end: signal.Signals, log: Path = Path("/dev/null")
) -> Iterator[None]:
    """A Python process that has said "ready"; ended by a signal and waited for."""
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors
        )
    assert child.stdout is not None
    try:
        _wait_ready(child, log)
        yield
    finally:
        child.send_signal(end)
        child.wait(END_S)
        child.stdout.close()


def _wait_ready(child: subprocess.Popen[bytes], log: Path) -> None:
    """Lines come one by one until "ready"; the engine logs its progress to the same place."""
    assert child.stdout is not None
    seen = b""
    while b"ready\n" not in seen.splitlines(keepends=True):
        able, _, _ = select.select([child.stdout], [], [], READY_S)
        chunk = os.read(child.stdout.fileno(), 65536) if able else b""
        assert chunk, f"{child.args} did not become ready: {seen[-2000:]!r} {log.read_text(errors='replace')[-2000:]}"
        seen += chunk
