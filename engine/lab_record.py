"""What is written down about a lab, so that an engine that starts again knows it: one JSON file a lab."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from engine.errors import BadInput

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LabShape:
    """What a lesson asks of its lab.

    Attributes:
        image: the lab's image.
        hostname: what it calls itself.
        outbound: whether it may reach the world.
        disc: whether there is a live CD's disc at /cdrom (storage/disc.py).
    """

    image: str = "hako/lab"
    hostname: str = "lab"
    outbound: bool = False
    disc: bool = False

    @classmethod
    def of(cls, words: dict[str, object]) -> LabShape:
        """From a lesson's words.

        Raises:
            BadInput: an unknown word, or a value of another type.
        """
        known = {"image": str, "hostname": str, "outbound": bool, "disc": bool}
        for word, value in words.items():
            if word not in known or not isinstance(value, known[word]):
                raise BadInput(f"A lab's shape has no {word}: {value!r}.", f"It knows {', '.join(known)}.")
        shape = cls(**words)  # type: ignore[arg-type]
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", shape.hostname):
            raise BadInput(f"{shape.hostname!r} is not a hostname.", "Use small letters, digits and -.")
        return shape


@dataclass
class LabRecord:
    """A lab on paper. `opened` counts its terminals, so that no terminal's id comes twice."""

    id: str
    owner: str
    shape: LabShape
    created_at: float = field(default_factory=time.time)
    extended_s: float = 0.0
    link: str = ""
    opened: int = 0


def save(folder: Path, record: LabRecord) -> None:
    """Write it, whole or not at all."""
    new = folder / f"{record.id}.new"
    new.write_text(json.dumps(asdict(record)))
    os.rename(new, folder / f"{record.id}.json")


def delete(folder: Path, lab_id: str) -> None:
    """Forget it; again is no error."""
    (folder / f"{lab_id}.json").unlink(missing_ok=True)


def load_all(folder: Path) -> list[LabRecord]:
    """All labs on paper; a file that cannot be understood is said in the log and left."""
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            words = json.loads(path.read_text())
            records.append(LabRecord(**{**words, "shape": LabShape(**words["shape"])}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("lab_record_unreadable", path=str(path), error=str(error))
    return records
