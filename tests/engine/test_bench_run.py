"""The benchmarks run to their end on this machine, and leave nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from engine.errors import Unsupported
from tests.bench import observe, start, terminal
from tests.bench.contenders import CannotRun, Contender, Sample
from tests.bench.stage import Stage, compile_c
from tests.leaks import leftovers

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


class Steady(Contender):
    """A contender that needs no machine."""

    note = "none"

    def __init__(self, name: str, start_ms: float) -> None:
        self.name = name
        self._start_ms = start_ms

    def prepare(self) -> None:
        """Nothing."""

    def run(self) -> Sample:
        """Always the same."""
        return Sample(self._start_ms, 2 * self._start_ms)


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The floor is a C program; a machine without gcc gets a sentence, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match=r"no C compiler.*Install gcc"):
        compile_c(Path("now.c"), tmp_path / "now")


def test_the_order_turns_so_that_nobody_is_always_first() -> None:
    """In three rounds of three each is first once."""
    order: list[str] = []

    class Noting(Steady):
        def run(self) -> Sample:
            order.append(self.name)
            return super().run()

    start.alternate([Noting(name, 1) for name in "abc"], 3)
    assert "".join(order) == "abc" + "bca" + "cab"


def test_who_refused_is_told_in_its_own_words() -> None:
    """Beside the numbers, with the ratio to the floor for those that ran."""
    console = Console(record=True, width=110)
    running: list[Contender] = [Steady("C floor", 2.0), Steady("Hako", 3.0)]
    results = start.report(running, start.alternate(running, 4), {"crun": "cgroups in hybrid mode"}, console)
    text = console.export_text()
    assert "crun, not measured: cgroups in hybrid mode" in text
    assert results["Hako: start / floor"].p50 == 1.5
    assert str(CannotRun("x")) == "x"


@needs_compiler
@pytest.mark.root
@pytest.mark.slow
def test_bench_start(tmp_path: Path) -> None:
    """Floor and engine are measured against each other with an engine of the bench's own."""
    with Stage() as stage:
        results = start.compare(stage, 3, Console(quiet=True))
        results |= start.throughput(stage, 0.3, Console(quiet=True))
    assert results["C floor: start"].count == results["Hako: start"].count == 3
    assert results["Hako: start / floor"].p50 > 0
    assert results["runs a second, 8 clients"] > 0
    assert not {"C floor", "Hako", "hako run"} & set(results["refused"])
    assert leftovers([stage.settings.instance]) == []


@needs_compiler
@pytest.mark.root
@pytest.mark.slow
def test_bench_terminal(tmp_path: Path) -> None:
    """Echo, bulk and Ctrl-C through engine and web server."""
    out = tmp_path / "results.json"
    assert terminal.main(["--sessions", "3", "--seconds", "1", "--tries", "1", "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    assert results["echo alone: p50 ms"] > 0
    assert results["bulk: MB/s"] > 0
    assert results["Ctrl-C, a page at 100 KB/s: dead"]["p50"] > 0


@pytest.mark.root
def test_bench_observe(tmp_path: Path) -> None:
    """A look costs more than reading alone."""
    out = tmp_path / "results.json"
    assert observe.main(["--rounds", "20", "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    assert results["look / reading alone"]["p50"] > 1
    assert results["look: p95 ms"] >= results["look: p50 ms"]
