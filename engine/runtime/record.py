"""What is written down about a container, so that a daemon that starts again knows it: one JSON file in its
directory."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

FILE = "container.json"


@dataclass(frozen=True)
class Record:
    """A container on paper.

    Attributes:
        layers: directories of the image, lowest first.
        config: the OCI runtime-spec document.
        state: created, starting (never on paper), running, paused or exited.
        made: the engine steps of the last start that are not unmade yet, in order.
        remove: delete it when its program ends (`--rm`).
    """

    id: str
    name: str
    image: str
    layers: list[str]
    config: dict[str, Any]
    state: str = "created"
    made: list[str] = field(default_factory=list)
    link: str = ""
    address: str = ""
    remove: bool = False
    exit_code: int | None = None
    created_at: float = field(default_factory=time.time)
    started_at: float | None = None
    finished_at: float | None = None


def save(folder: Path, record: Record) -> None:
    """Write it, whole or not at all."""
    new = folder / (FILE + ".new")
    # Not asdict(): it copies the whole document first, at every change of state.
    new.write_text(json.dumps({each.name: getattr(record, each.name) for each in fields(record)}))
    os.rename(new, folder / FILE)


def load(folder: Path) -> Record | None:
    """Read it; None, and a line in the log, where the directory holds none that can be understood."""
    try:
        return Record(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        log.warning("container_record_unreadable", folder=str(folder), error=str(error))
        return None
