"""What every test may rely on: an instance name of its own, proof that nothing is left, and skips that are named.

The tests use the real kernel, so two of them may only meet in places that carry a name of their own. `instance` gives
that name; `nothing_left` looks, when the session is over, for anything on the machine that still carries one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.leaks import leftovers

# The only reasons for which a test may skip where CI is set: each names what this kernel or processor does not have.
ALLOWED_SKIPS = frozenset(
    {
        "no cgroup v2 tree is mounted",
        "the cgroup v2 tree has no controller here",
        "numbers of system calls",  # of x86-64: nobody has written down those of arm64 yet
    }
)

_names: list[str] = []
_skips: list[str] = []


def _new_instance() -> str:
    name = f"hk{secrets.token_hex(3)}"  # 8 characters: with a suffix it fits a link name (settings.instance)
    _names.append(name)
    return name


@pytest.fixture
def instance() -> str:
    """A name for this test's cgroups, links and tables that no other test, session or person uses."""
    return _new_instance()


@pytest.fixture(scope="module")
def module_instance() -> str:
    """The same for a module whose tests share one engine."""
    return _new_instance()


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Fails the session when a mount, cgroup, link, loop device or process outlives it under one of our names."""
    yield
    found = leftovers(_names)
    assert not found, "left on the machine after the tests:\n  " + "\n  ".join(found)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests go last: Playwright keeps an event loop running in this thread, and no other test could run its
    own.

    Without root, the tests that need it are skipped by name instead of failing one by one.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="not root: run ./hako test"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers each skip with its reason."""
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        _skips.append(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")


def _unlisted_skips() -> list[str]:
    return [skip for skip in _skips if skip.split(": ", 1)[1] not in ALLOWED_SKIPS]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip that is not on the list fails the run: a feature must not get lost in silence."""
    if os.environ.get("CI") and _unlisted_skips() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the skips that failed the run."""
    if os.environ.get("CI") and _unlisted_skips():
        terminalreporter.section("skips that are not on the list in tests/conftest.py", red=True)
        for skip in _unlisted_skips():
            terminalreporter.line(skip)
