"""The engine client of this process: a metric round every call, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.client import EngineClient
from web.metrics import Metrics

#: Handlers of pages may ask the engine on the thread that takes the page's pings: below the ping time-out, with room.
TIMEOUT_S = 10.0


class MeteredClient(EngineClient):
    """An EngineClient whose calls are timed by verb."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        super().__init__(path, timeout_s=TIMEOUT_S)
        self._metrics = metrics

    def call(
        self,
        call: str,
        args: dict[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        again: bool = False,
        on_reply: Callable[[Any], None] | None = None,
    ) -> Any:
        with self._metrics.calls.labels(call).time():
            return super().call(call, args, timeout_s=timeout_s, again=again, on_reply=on_reply)
