"""The plan of the last start, left in a file for whoever looks from outside: which step, from when, how long.

Only a lab's own engine leaves it; the machine's engine reads it (observe/lastplan.py) for the page's timeline. The file
is a learner's, who may write into it what he likes, so it has no sentences, only words of `words.py` and the arguments
that fill them; the reader makes the sentences. Bounded by what a plan has: some fifty steps, 10 KB.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.runtime import words
from engine.runtime.container import Container

FILE = "last-plan.json"

_SHORT = 200


def of_start(container: Container, failed: int | None = None) -> dict[str, Any]:
    """What is left of a container's last start, for JSON.

    Args:
        failed: the number of the step that did not work.
    """
    assert container.plan is not None
    record, times = container.record, container.moments
    first = min((begun for begun, _ in times.values()), default=0)
    steps = []
    for number, step in enumerate(container.plan.steps):
        told: dict[str, Any] = {"kind": step.kind, "where": step.where, "args": words.fields(step.kind, step.args)}
        if number in times:
            begun, took = times[number]
            told |= {"at_us": (begun - first) / 1000, "took_us": took / 1000}
        steps.append(told)
    argv = [word[:_SHORT] for word in record.config["process"]["args"][:8]]
    head = {"name": record.name[:_SHORT], "image": record.image[:_SHORT], "argv": argv}
    return {**head, "failed": failed, "steps": steps}


def leave(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write it, whole or not at all.

    Raises:
        OSError: the disk is full, or the learner put something else there.
    """
    new = folder / (FILE + ".new")
    new.write_text(json.dumps(plan))
    os.rename(new, folder / FILE)
