"""The engine's own tests once more, in a lab: what a learner's `hako run` stands on there is the same engine.

The project and pytest are put on the lab's disk and run there as the lab's root; each file is one test here. What a lab
cannot do, and why, is LEFT_OUT; docs/architecture.md says it in words.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images import shared
from engine.lab import Completed, Lab
from tests.engine.engines import ROOT, Engine, shared_images

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(400)]

FILES = (
    "tests/engine/test_container.py",
    "tests/engine/test_union_overlay.py",
    "tests/engine/test_mounts_copy.py",
    "tests/engine/test_cgroups_kernel.py",
    "tests/engine/test_zygote.py",
)
LEFT_OUT = (
    # A lab has not all of Docker's capabilities to give: its bounding set lacks those that reach the machine.
    "tests/engine/test_container.py::test_privileges_are_dockers",
    "tests/engine/test_container.py::test_exec",
    # trusted.* attributes are for the first user namespace; in a lab overlay's marks are user.* ones.
    "tests/engine/test_union_overlay.py::test_changes_and_diff",
    "tests/engine/test_union_overlay.py::test_one_layer_serves_root_and_lab",
    "tests/engine/test_union_overlay.py::test_exists_agrees_with_the_kernel",
    # It gives a group to the owner of a block of ids on the machine: no such id is in a lab's map.
    "tests/engine/test_cgroups_kernel.py::test_learner_moves_processes_but_not_limits",
)
LIBRARIES = (
    "_pytest",
    "pytest",
    "pytest-*.dist-info",
    "pytest_timeout*",
    "pytest_randomly*",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "*hypothesis*",
    "sortedcontainers",
    "*pydantic*",
    "annotated_types",
    "typing_*",
    "dotenv",
    "structlog",
    "msgpack",
    "yaml",
    "_yaml",
    "py.py",
)
PLACE = "/root/project"
RUN_S = 300.0


def _project() -> bytes:
    """The engine, its tests and what they import, as a tar archive."""
    archive = io.BytesIO()
    libraries = next((ROOT / ".venv/lib").glob("python3.*/site-packages"))
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for part in ("engine", "tests", "pyproject.toml"):
            tar.add(ROOT / part, f"project/{part}")
        for path in sorted({path for pattern in LIBRARIES for path in libraries.glob(pattern)}):
            tar.add(path, f"project/.libraries/{path.name}")
        for path in _shared_libraries(libraries):
            tar.add(Path(path).resolve(), f"project/.libraries/{Path(path).name}")
    return archive.getvalue()


def _shared_libraries(folder: Path) -> set[str]:
    """What the compiled modules are linked with, as ldd(1) says: not all of it is in hako/lab."""
    modules = [str(path) for path in folder.glob("*pydantic*/*.so")]
    listed = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=True, timeout=20)
    return set(re.findall(r"=> (\S+/lib(?!c\.so)\S+) ", listed.stdout))


@pytest.fixture(scope="module")
def suite(module_instance: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Completed]:
    """One run of pytest in a lab."""
    folder = tmp_path_factory.mktemp(module_instance)
    with Engine(module_instance, folder, shared_images(), lab_disk_bytes=4 << 30) as engine:
        lab = engine.run(engine.labs.create("tests"))
        try:
            yield _pytest(engine, lab)
        finally:
            engine.run(engine.labs.remove(lab))


def _pytest(engine: Engine, lab: Lab) -> Completed:
    unpack = engine.labs.run(lab, ["tar", "-x", "-C", "/root"], stdin=_project(), timeout_s=60)
    assert engine.within(60, unpack).status == 0
    env = {
        "PYTHONPATH": f"{PLACE}:{PLACE}/.libraries",
        "HAKO_SHARED": shared.export(engine.machine.images),
        "LD_LIBRARY_PATH": f"{PLACE}/.libraries",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
    }
    words = [
        "python3",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "-rA",
        "--tb=short",
        "--randomly-dont-reorganize",
    ]
    left_out = [f"--deselect={test}" for test in LEFT_OUT]
    script = f'cd {PLACE} && exec "$@"'
    run = engine.labs.run(lab, ["bash", "-c", script, "-", *words, *FILES, *left_out], timeout_s=RUN_S, env=env)
    return engine.within(RUN_S + 10, run)


def test_it_comes_to_its_end(suite: Completed) -> None:
    """pytest is content."""
    assert suite.status == 0, (suite.stdout + suite.stderr).decode(errors="replace")[-12000:]


@pytest.mark.parametrize("file", FILES)
def test_passes_in_a_lab(suite: Completed, file: str) -> None:
    """Some tests of each file ran there, and they passed."""
    assert f"PASSED {file}::" in suite.stdout.decode(errors="replace")
