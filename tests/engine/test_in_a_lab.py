"""The engine's own tests once more, in a lab: what a learner's `hako run` stands on there is the same engine.

The project and pytest are put on the lab's disk and run there as the lab's root; each file is one test here. A new file
of tests/engine runs there too, unless it is named here with the reason; docs/architecture.md says them in words.
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

#: Files that a lab has nothing for, by why.
OTHERS = {
    "They make labs, and a lab has no loop devices and no blocks of ids to give": (
        *("test_disc", "test_disk_backing", "test_disk_labs", "test_escapes", "test_hostile_lab", "test_in_a_lab"),
        *("test_inner_daemon", "test_inner_engine", "test_lab", "test_lab_root", "test_last_plan", "test_layers_lab"),
        *("test_leak", "test_observe_groups", "test_observe_lab", "test_observe_layers", "test_predicates_lab"),
        "test_takeover",
    ),
    "They start the machine's daemon, whole; a lab's is tested by test_inner_engine.py": (
        *("test_cli", "test_cli_life", "test_cli_up", "test_daemon", "test_daemon_terminals"),
    ),
    "They need a C compiler": ("test_bench_run",),
}
FILES = tuple(
    sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests/engine").rglob("test_*.py")
        if path.stem not in {name for names in OTHERS.values() for name in names}
    )
)
LEFT_OUT = (
    # A lab has not all of Docker's capabilities to give: its bounding set lacks those that reach the machine.
    "test_container.py::test_privileges_are_dockers",
    "test_container.py::test_exec",
    "test_capabilities_apply.py::test_apply_leaves_exactly_the_sets",
    # trusted.* attributes are for the first user namespace; in a lab overlay's marks are user.* ones.
    "test_union_overlay.py::test_changes_and_diff",
    "test_union_overlay.py::test_one_layer_serves_root_and_lab",
    "test_union_overlay.py::test_exists_agrees_with_the_kernel",
    "test_union_contract.py::test_changes_and_diff",
    "test_union_contract.py::test_whiteouts_of_layers_count",
    # It gives a group to the owner of a block of ids on the machine: no such id is in a lab's map.
    "test_cgroups_kernel.py::test_learner_moves_processes_but_not_limits",
    # The lab's own filter of system calls stays below any other.
    "test_seccomp_filter.py::test_unconfined_is_no_filter",
    # The doctor rightly says that labs cannot be made there.
    "test_doctor_kernel.py::test_this_machine_is_well_enough",
    # hako/lab has neither git nor gcc.
    "test_aufs_fuse.py::test_a_real_program",
    "test_aufs_promises.py::test_a_program_of_some_size_is_built_inside",
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
    "mfusepy*",
    "rich",
    "markdown_it",
    "mdurl",
)
#: The lab disk itself: /root is an overlay, on which no other one can have its upper directory, and /tmp is small.
DISK = "/var/lib/lab/tests"
PLACE = f"{DISK}/project"
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
    unpack = engine.labs.run(lab, ["sh", "-c", f"mkdir {DISK} && tar -x -C {DISK}"], stdin=_project(), timeout_s=60)
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
        f"--basetemp={DISK}/temporary",
    ]
    left_out = [f"--deselect=tests/engine/{test}" for test in LEFT_OUT]
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
