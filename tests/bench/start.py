"""`hako bench start`: how long a container takes, beside what else is installed, all in one run.

In each round every contender starts one container, in an order that turns from round to round; so what the machine does
besides hits all alike, and the ratios mean more than the times. See contenders.py for who they are, floor.c for the
floor, docs/performance.md for what came out.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.errors import EngineError
from tests.bench import contenders, measure
from tests.bench.contenders import CannotRun, Contender, Sample
from tests.bench.stage import Stage

WARM_UP = 5
# DESIGN's targets, for the line below the table.
FLOOR_RATIO, RUNS_PER_SECOND = 1.5, 150


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="hako bench start", description="How long a container takes to start.")
    parser.add_argument("--rounds", type=int, default=100, help="containers per contender (100)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure throughput (3)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(argv)
    console = Console()
    if os.geteuid() != 0:
        console.print("hako: making containers needs root.")
        return 1
    try:
        with Stage() as stage:
            results = compare(stage, options.rounds, console)
            results |= throughput(stage, options.seconds, console)
    except EngineError as error:
        console.print(f"hako: {error}")
        return 1
    measure.keep(options.json, results)
    return 0


def compare(stage: Stage, rounds: int, console: Console) -> dict[str, Any]:
    """The contenders against one another."""
    with ExitStack() as stack:
        running: list[Contender] = []
        refused: dict[str, str] = {}
        for kind in contenders.ALL:
            contender = kind(stage)
            try:
                stack.enter_context(contender)
                for _ in range(WARM_UP):
                    contender.run()
                running.append(contender)
            except CannotRun as said:
                refused[contender.name] = str(said)
        samples = alternate(running, rounds)
    return report(running, samples, refused, console)


def alternate(running: list[Contender], rounds: int) -> dict[str, list[Sample]]:
    """One container of each per round, the first one another each time."""
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in running}
    for turn in range(rounds):
        first = turn % len(running)
        for contender in running[first:] + running[:first]:
            samples[contender.name].append(contender.run())
    return samples


def report(
    running: list[Contender], samples: dict[str, list[Sample]], refused: dict[str, str], console: Console
) -> dict[str, Any]:
    """Print the table; the numbers, for a file."""
    results: dict[str, Any] = {"refused": refused}
    floor = samples.get(contenders.Floor.name)
    rows = []
    for contender in running:
        starts = [each.start_ms for each in samples[contender.name]]
        whole = [each.run_ms for each in samples[contender.name]]
        row = [contender.name, measure.spread(starts).text(), measure.spread(whole).text()]
        results[f"{contender.name}: start"] = measure.spread(starts)
        results[f"{contender.name}: run"] = measure.spread(whole)
        if floor:
            ratio = measure.ratios(starts, [each.start_ms for each in floor])
            results[f"{contender.name}: start / floor"] = ratio
            row.append(ratio.text())
        rows.append(row)
    columns = ["", "start, ms", "whole run, ms", *(["start / floor"] if floor else [])]
    measure.show(console, measure.table("Starting a container", columns, rows))
    count = len(next(iter(samples.values()), []))
    console.print(
        f"Median (10th to 90th percentile) of {count} each, alternating. Target: at most {FLOOR_RATIO} x the floor."
    )
    for contender in running:
        console.print(f"  {contender.name}: {contender.note}")
    for name, said in refused.items():
        console.print(f"  {name}, not measured: {said}", markup=False)
    return results


def throughput(stage: Stage, seconds: float, console: Console) -> dict[str, Any]:
    """Whole runs a second, by one client and by eight at once."""
    rows = []
    results: dict[str, Any] = {}
    for clients in (1, 8):
        done, took = together(stage, clients, seconds)
        rows.append([f"{clients}", f"{done / took:.0f}"])
        results[f"runs a second, {clients} clients"] = done / took
    note = f"target: {RUNS_PER_SECOND} on two processors; this machine has {len(os.sched_getaffinity(0))}"
    measure.show(console, measure.table("Containers a second", ["clients at once", "runs a second"], rows, note))
    return results


def together(stage: Stage, clients: int, seconds: float) -> tuple[int, float]:
    """How many containers some clients run to their end in about so many seconds, and in how many exactly."""
    counts = [0] * clients
    begin = threading.Barrier(clients + 1)
    end = threading.Event()

    def client(number: int) -> None:
        with contenders.Engine(stage) as engine:
            engine.run()
            begin.wait()
            while not end.is_set():
                engine.run()
                counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    begin.wait()
    began = time.monotonic()
    time.sleep(seconds)  # the length of the measurement, not a wait for something
    end.set()
    for thread in threads:
        thread.join()
    return sum(counts), time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
