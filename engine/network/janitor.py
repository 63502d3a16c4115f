"""Taking links down, off the path of whoever ended a container: in batches, looked after until they are gone.

The kernel destroys a network namespace some time after its last process and fd; a name or an address given out again
before then would clash. So the link is deleted by name first, and its slot is given back only when the kernel no longer
lists it. What will not go after TRIES stays marked as used, and is told in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from engine.errors import EngineError

log = structlog.get_logger(__name__)

# How long to gather before deleting: one deletion costs as much as fifty.
GATHER_S = 0.05
TRIES, RETRY_S = 5, 1.0


@dataclass(slots=True)
class _Doomed:
    gone: Callable[[], None]
    tries: int = 0


class Janitor:
    """Deletes links.

    Args:
        delete: takes names, deletes those links, returns the names that are still there.
        gather_s: how long to wait for more of them.
    """

    def __init__(self, delete: Callable[[list[str]], Awaitable[list[str]]], *, gather_s: float = GATHER_S) -> None:
        self._delete = delete
        self._gather_s = gather_s
        self._doomed: dict[str, _Doomed] = {}
        self._task: asyncio.Task[None] | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._doomed

    def doom(self, name: str, gone: Callable[[], None]) -> None:
        """Have a link deleted; `gone` is called when the kernel no longer has it."""
        self._doomed.setdefault(name, _Doomed(gone))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="network-janitor")

    async def drained(self) -> None:
        """Wait until everything doomed so far is gone, or has been given up."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    async def _work(self) -> None:
        await asyncio.sleep(self._gather_s)
        while self._doomed:
            batch = list(self._doomed)
            try:
                left = set(await self._delete(batch))
            except (OSError, EngineError) as error:
                log.warning("network_links_not_deleted", links=batch, error=str(error))
                left = set(batch)
            for name in batch:
                if name not in left:
                    self._doomed.pop(name).gone()
                elif self._give_up(name):
                    del self._doomed[name]
            if left:
                await asyncio.sleep(RETRY_S)

    def _give_up(self, name: str) -> bool:
        doomed = self._doomed[name]
        doomed.tries += 1
        if doomed.tries < TRIES:
            return False
        log.error("network_link_left_behind", link=name, tries=TRIES)
        return True
