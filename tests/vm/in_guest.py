"""A plug-in of pytest in the guest: one line of JSON a test to the second serial port, for machine.py to read.

{"test": node id, "outcome": "passed" | "failed" | "skipped", "seconds": …, "text": what failed}
{"status": pytest's exit status}                                          the last line
"""

from __future__ import annotations

import json
from typing import Any

import pytest

PORT = "/dev/ttyS1"
TEXT_MAX = 12_000


def _say(line: dict[str, Any]) -> None:
    with open(PORT, "w", encoding="utf-8") as port:
        port.write(json.dumps(line) + "\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test's own outcome, and what went wrong before or after it."""
    if report.when == "call" or not report.passed:
        seconds = round(report.duration, 2)
        text = "" if report.passed else report.longreprtext[-TEXT_MAX:]
        _say({"test": report.nodeid, "outcome": report.outcome, "seconds": seconds, "text": text})


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that could not be read is a test that failed."""
    if report.failed:
        _say({"test": report.nodeid, "outcome": "failed", "seconds": 0, "text": report.longreprtext[-TEXT_MAX:]})


def pytest_sessionfinish(exitstatus: int) -> None:
    """The end, without which the report is not whole."""
    _say({"status": int(exitstatus)})
