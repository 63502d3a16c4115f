"""Looking at a lab for those who ask over the socket."""

from __future__ import annotations

from typing import Any

from engine.api.watch import Look
from engine.errors import Unsupported
from engine.lab import Labs
from engine.runtime.machine import Machine


class Views:
    """Looks at labs."""

    def __init__(self, labs: Labs, machine: Machine) -> None:
        self._labs, self._machine = labs, machine

    def look(self, lab: str) -> Look:
        raise Unsupported("This engine cannot look yet.")

    def evaluate(self, lab: str, predicates: list[dict[str, Any]], answers: dict[str, Any]) -> list[dict[str, Any]]:
        raise Unsupported("This engine cannot look yet.")
