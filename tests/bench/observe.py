"""`hako bench observe`: what one look at a lab costs, beside reading the same files of /proc for nothing.

The lab has 50 processes, as a busy one has. Times are of the processor, which is all that a look spends: it waits for
nothing. The two alternate, so that what the machine does besides hits both alike.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.linux import procfs
from tests.bench import measure
from tests.engine.minilab import mini_lab

PROCESSES = 50
WARM_UP = 10
# DESIGN's targets, for the line below the table.
P50_MS, P95_MS = 6, 10


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="hako bench observe", description="What one look at a lab costs.")
    parser.add_argument("--rounds", type=int, default=300, help="looks (300)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(argv)
    console = Console()
    if os.geteuid() != 0:
        console.print("hako: making a lab needs root.")
        return 1
    measure.keep(options.json, looks(options.rounds, console))
    return 0


def looks(rounds: int, console: Console) -> dict[str, Any]:
    """Look so many times; print the table; the numbers, for a file."""
    with mini_lab(f"hk{secrets.token_hex(3)}") as lab:
        for _ in range(PROCESSES - 1):
            lab.spawn("sleep", "3600")
        lab.wait_for("sleep", PROCESSES - 1)
        pids = [process.pid for process in lab.observer.observe().processes]
        for _ in range(WARM_UP):
            lab.observer.observe()
        taken = [(_timed(lab.observer.observe), _timed(lambda: _read(pids))) for _ in range(rounds)]
    ours, floor = zip(*taken, strict=True)
    results = {
        "look: p50 ms": measure.percentile(ours, 50),
        "look: p95 ms": measure.percentile(ours, 95),
        "reading alone: p50 ms": measure.percentile(floor, 50),
        "reading alone: p95 ms": measure.percentile(floor, 95),
        "look / reading alone": measure.ratios(ours, floor),
    }
    rows = [
        [name, f"{results[f'{name}: p50 ms']:.2f}", f"{results[f'{name}: p95 ms']:.2f}"]
        for name in ("look", "reading alone")
    ]
    note = f"{results['look / reading alone'].text()} times the reading. Target: p50 {P50_MS} ms, p95 {P95_MS} ms."
    title = f"A look at a lab with {len(pids)} processes"
    measure.show(console, measure.table(title, ["", "p50, ms", "p95, ms"], rows, note))
    return results


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds of the processor."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


def _read(pids: Sequence[int]) -> None:
    """The files and links that no look can do without."""
    for pid in pids:
        for name in ("stat", "cmdline"):
            procfs.read_page(f"/proc/{pid}/{name}")
        for kind in (*procfs.KINDS, "pid_for_children"):
            os.readlink(f"/proc/{pid}/ns/{kind}")


if __name__ == "__main__":
    sys.exit(main())
