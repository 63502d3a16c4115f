"""The clocks of labs: told beforehand, then ended; and every change of a lab told to all who are connected.

Once a second each lab is compared with what was last told of it, so that also what nobody asked for (the learner's
`kill 1`) becomes a `lab.state` event. Five minutes and one minute before a lab's end the event is sent again, with the
times in it: the page turns them into words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from engine.api import wire
from engine.errors import EngineError
from engine.lab import Lab, Labs

log = structlog.get_logger(__name__)

TICK_S = 1.0
WARN_S = (300.0, 60.0)
# `Lab.reason` of a lab that was ended by a clock; the page has words for them.
IDLE, LIFE = "idle", "life"


class Life:
    """Minds the clocks of all labs.

    Args:
        tell: sends an event to every peer of lab.sock, by subject.
        describe: a lab as it goes on the wire.
        ended: told the id of each lab that is no more.
    """

    def __init__(
        self,
        labs: Labs,
        tell: Callable[[tuple[str, ...], wire.Message], None],
        describe: Callable[[Lab], dict[str, Any]],
        ended: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._labs, self._tell, self._describe, self._ended, self._clock = labs, tell, describe, ended, clock
        self._known: dict[str, Lab] = {}
        self._told: dict[str, tuple[Any, ...]] = {}

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            try:
                await self.tick()
            except Exception as error:  # the border of the task: one bad lab must not stop all clocks
                log.exception("tick_failed", exc_info=error)
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """End what is due, tell what changed."""
        now = self._clock()
        ending = [(lab, reason) for lab in self._labs.all() if (reason := due(lab, now))]
        await asyncio.gather(*(self._end(lab, reason) for lab, reason in ending))
        for lab in self._labs.all():
            self._tell_if_new(lab, now)
        living = {lab.id for lab in self._labs.all()}
        for lab in [lab for lab in self._known.values() if lab.id not in living]:
            if lab.state != "ended":  # it was seen while it was made, and could not be
                lab.state, lab.reason = "ended", lab.reason or "it could not be made"
            self._tell_if_new(lab, now)

    async def _end(self, lab: Lab, reason: str) -> None:
        try:
            await self._labs.remove(lab, reason)
        except (EngineError, OSError) as error:
            log.warning("lab_not_ended", lab=lab.id, error=str(error))

    def changed(self, lab: Lab) -> None:
        """Something was done to it: tell at once, also where it looks as before (a reset)."""
        self._told.pop(lab.id, None)
        self._tell_if_new(lab, self._clock())

    def _tell_if_new(self, lab: Lab, now: float) -> None:
        value = self._describe(lab)
        left = min(value["idle_ends_at"], value["ends_at"]) - now
        # Idle clocks are put back with every key: only what a page would show differently is told.
        state = (lab.state, lab.reason, value["ends_at"], value["progress"], sum(left <= warn for warn in WARN_S))
        if self._told.get(lab.id) != state:
            self._told[lab.id], self._known[lab.id] = state, lab
            self._tell(("lab", lab.id), wire.event("lab.state", lab=value))
        if lab.state == "ended":
            self._told.pop(lab.id, None)
            if self._known.pop(lab.id, None) is not None:
                self._ended(lab.id)


def due(lab: Lab, now: float) -> str:
    """Which clock of a lab has run out, if any. A paused lab does not idle: it was put by on purpose."""
    if lab.state not in ("ready", "paused"):
        return ""
    if now >= lab.ends_at:
        return LIFE
    return IDLE if lab.state == "ready" and now >= lab.idle_ends_at else ""
