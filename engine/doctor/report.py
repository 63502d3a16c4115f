"""`hako doctor`: the verdicts as a table for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.doctor.facts import gather
from engine.doctor.verdicts import Verdict, judge
from engine.settings import Settings

# Word, sign and colour say the same: the report reads on a monochrome terminal and in a log.
_LOOK = {"ok": ("✓ ok", "green"), "warn": ("! warn", "yellow"), "bad": ("✗ bad", "bold red")}


def as_dict(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """For programs: {"ok": bool, "verdicts": [{"name", "level", "seen", "cure"}]}."""
    return {"ok": not any(verdict.level == "bad" for verdict in verdicts), "verdicts": [asdict(v) for v in verdicts]}


def summary(verdicts: Sequence[Verdict]) -> str:
    """One sentence that says whether Hako works here."""
    bad = [verdict.name for verdict in verdicts if verdict.level == "bad"]
    warn = [verdict.name for verdict in verdicts if verdict.level == "warn"]
    if bad:
        return f"Hako will not work here as it should: {', '.join(bad)}."
    if warn:
        return f"Hako works here; worth a look: {', '.join(warn)}."
    return "Hako works here."


def render(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print the report; what to do stands below what was seen."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for verdict in verdicts:
        word, style = _LOOK[verdict.level]
        said = Text(verdict.seen)
        if verdict.cure:
            said.append(f"\n→ {verdict.cure}", style="bold")
        table.add_row(Text(word, style=style), Text(verdict.name), said)
    console.print(table)
    console.print(Text("\n" + summary(verdicts)))


def main(settings: Settings, *, as_json: bool = False, console: Console | None = None) -> int:
    """Look, judge, tell. Returns the exit status: 0, or 1 if something is bad."""
    verdicts = judge(gather(settings))
    console = console or Console()
    if as_json:
        console.print_json(json.dumps(as_dict(verdicts), ensure_ascii=False))
    else:
        render(verdicts, console)
    return 0 if as_dict(verdicts)["ok"] else 1
