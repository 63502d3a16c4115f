"""`hako bench terminal`: what a learner feels at the keyboard, through the whole web stack.

An engine and a web server of their own, real labs and shells; in place of browsers, pages without a screen (page.py).
Measured: the echo of a key, alone, with others typing and beside a flood; bulk output with what it costs the servers;
and how long Ctrl-C takes under `yes`, for a fast page and for one that draws 100 KB/s. Clients and servers share the
machine. See docs/performance.md for what came out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.errors import EngineError, Failed
from engine.linux import procfs
from tests.bench import measure
from tests.bench.others import typing
from tests.bench.page import Page, Terminal, at_prompt
from tests.bench.stage import HERE, Stage

INTERVAL_S = 0.15  # a fast typist's
BULK_BYTES = 48_000_000
SLOW_BYTES_A_SECOND = 100_000
LINE = "0123456789abcdef" * 4 + "0123456789abcd"
# What this bench allows beyond the usual: one learner has forty pages and terminals here.
MORE = {
    "HAKO_TERMINALS_PER_LAB": "60",
    "HAKO_LAB_PIDS": "1024",
    "HAKO_WEB_PAGES_PER_LEARNER": "200",
}


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="hako bench terminal", description="What a terminal in the page costs.")
    parser.add_argument("--sessions", type=int, default=40, help="sessions typing at once, at least 2 (40)")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each echo is measured (8)")
    parser.add_argument("--tries", type=int, default=5, help="how often Ctrl-C is pressed (5)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(argv)
    console = Console()
    if os.geteuid() != 0:
        console.print("hako: making labs needs root.")
        return 1
    try:
        with Stage(web=True, env=MORE) as stage:
            results = echoes(stage, max(2, options.sessions), options.seconds, console)
            results |= bulk(stage, console)
            results |= interrupts(stage, options.tries, console)
    except EngineError as error:
        console.print(f"hako: {error}", markup=False)
        return 1
    measure.keep(options.json, results)
    return 0


@contextmanager
def terminal(stage: Stage, name: str) -> Iterator[tuple[Page, Terminal]]:
    """A page with one terminal."""
    with Page(stage.url) as page:
        page.lab()
        yield page, page.attach(name)


# -- echo -------------------------------------------------------------------------------------------------------------


def echoes(stage: Stage, sessions: int, seconds: float, console: Console) -> dict[str, Any]:
    """The echo of a key in three situations."""
    found = {"alone": echo(stage, seconds)}
    with others(stage, "type", str(sessions - 1), str(INTERVAL_S)) as told:
        found[f"{sessions} typing"] = echo(stage, seconds)
    found[f"{sessions} typing, the others"] = told
    with others(stage, "flood"):
        found["beside a flood"] = echo(stage, seconds)
    rows = []
    results: dict[str, Any] = {}
    for name, times in found.items():
        p50, p99 = measure.percentile(times, 50), measure.percentile(times, 99)
        rows.append([name, f"{p50:.2f}", f"{p99:.2f}", f"{len(times)}"])
        results |= {f"echo {name}: p50 ms": p50, f"echo {name}: p99 ms": p99}
    measure.show(console, measure.table("Echo of a key, ms", ["", "p50", "p99", "keys"], rows))
    console.print(f"Targets: with {sessions} typing 2 and 6; beside a flood p99 10.")
    return results


def echo(stage: Stage, seconds: float) -> list[float]:
    """Echo times of one session that types for so long."""
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    with terminal(stage, "probe") as (page, probe):
        timer.start()
        return typing(page, probe, 0.04, stop)


@contextmanager
def others(stage: Stage, *words: str) -> Iterator[list[float]]:
    """Others at work (others.py); the list is filled with their own echo times at the end."""
    times: list[float] = []
    argv = [sys.executable, "-m", "tests.bench.others", stage.url, *words]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1])
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise Failed("The other sessions could not begin.")
        yield times
        told, _ = process.communicate(timeout=60)
        times += json.loads(told)
    finally:
        process.kill()
        process.communicate()


# -- bulk -------------------------------------------------------------------------------------------------------------


def bulk(stage: Stage, console: Console) -> dict[str, Any]:
    """How fast output comes to a page that keeps up, and what it costs the three servers."""
    rows = []
    results: dict[str, Any] = {}
    with terminal(stage, "bulk") as (page, shown):
        before = stage.processor_seconds()
        start, began = shown.end, time.monotonic()
        page.type(shown, f"yes {LINE} | head -c {BULK_BYTES}\r".encode())
        page.until(shown, lambda: shown.end - start >= BULK_BYTES, "all output", 120)
        took, count = time.monotonic() - began, shown.end - start
    after = stage.processor_seconds()
    for name, spent in after.items():
        cost = (spent - before[name]) / (count / 1e9)
        rows.append([f"{name}: processor s/GB", f"{cost:.1f}"])
        results[f"bulk: {name} processor s/GB"] = cost
    total = (sum(after.values()) - sum(before.values())) / (count / 1e9)
    rows = [["MB/s", f"{count / 1e6 / took:.1f}"], ["servers: processor s/GB", f"{total:.1f}"], *rows]
    results |= {"bulk: MB/s": count / 1e6 / took, "bulk: processor s/GB": total}
    measure.show(console, measure.table(f"Bulk output, {BULK_BYTES // 1_000_000} MB", ["", ""], rows))
    console.print("Targets: 30 MB/s, 17 s/GB. The client shares the machine and may be what limits the speed.")
    return results


# -- Ctrl-C -----------------------------------------------------------------------------------------------------------


def interrupts(stage: Stage, tries: int, console: Console) -> dict[str, Any]:
    """Ctrl-C under `yes`: until the program is dead, and until the page shows it."""
    rows = []
    results: dict[str, Any] = {}
    for name, pace in (("a fast page", 0), ("a page at 100 KB/s", SLOW_BYTES_A_SECOND)):
        samples = [interrupt(stage, pace) for _ in range(tries)]
        dead, shown = ([each[part] for each in samples] for part in (0, 1))
        rows.append([name, measure.spread(dead).text(digits=0), measure.spread(shown).text(digits=0)])
        results |= {f"Ctrl-C, {name}: dead": measure.spread(dead), f"Ctrl-C, {name}: shown": measure.spread(shown)}
    columns = ["", "until `yes` is dead, ms", "until the page shows ^C, ms"]
    measure.show(console, measure.table("Ctrl-C under `yes`", columns, rows))
    console.print("Targets: 50 ms, and 500 ms for the slow page.")
    return results


def interrupt(stage: Stage, pace: int) -> tuple[float, float]:
    """Milliseconds from the key: (until the process is gone, until `^C` is in the output)."""
    with terminal(stage, "interrupt") as (page, shown):
        others = set(processes("yes"))
        shown.pace = pace
        before = shown.end
        page.type(shown, b"yes\r")
        page.until(shown, lambda: shown.end > before + 200_000, "a flood")
        (pid,) = set(processes("yes")) - others
        seen: list[int] = []
        shown.watch = lambda data, came: seen.append(time.monotonic_ns()) if b"^C" in data and not seen else None
        pressed = time.monotonic_ns()
        page.type(shown, b"\x03")
        dead = gone(pid)
        page.until(shown, lambda: bool(seen), "^C")
        shown.pace = 0
        page.until(shown, lambda: at_prompt(shown), "a prompt")
    return (dead - pressed) / 1e6, (seen[0] - pressed) / 1e6


def processes(comm: str) -> list[int]:
    """Processes of a name on this machine."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if procfs.read(f"/proc/{entry.name}/comm") == comm.encode() + b"\n":
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
    return found


def gone(pid: int, deadline_s: float = 30.0) -> int:
    """When a process ended (monotonic nanoseconds); a zombie has ended."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        try:
            if procfs.stat(pid).state in "ZX":
                break
        except OSError:
            break
        time.sleep(0.0005)
    return time.monotonic_ns()


if __name__ == "__main__":
    sys.exit(main())
