"""Watching labs: one look at a lab serves all who watch it, at most one a second, told only when something changed.

Looking costs some milliseconds of processor, so a lab where nothing happens is looked at less often: what is typed or
printed in it, and time that its processes spend, make it `lively` for a while. The look itself is `views.py`'s.

Told are: `lab.observed` when the lab is another, `lab.usage` when only counters of its groups went on, `lab.plan` for
the plan of the last `hako run` in it, `terminal.where`. Each holds all there is to know, so one may overtake another.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.api import wire
from engine.api.peer import Peer
from engine.api.views import Look
from engine.errors import BadInput, EngineError, Exhausted, NotFound
from engine.observe import Observation

log = structlog.get_logger(__name__)

LOOK_S = 1.0
QUIET_LOOK_S = 4.0
LIVELY_S = 10.0
_FEW_FILES = 40
#: So much CPU time (in ticks of 10 ms) between two looks is work, and not a shell that prints its prompt.
BUSY_TICKS = 5
WATCHES_PER_PEER = 2048


@dataclass
class Watched:
    """A lab somebody watches."""

    lab: str
    peers: dict[Peer, set[int]] = field(default_factory=dict)
    last: Observation | None = None
    where: dict[str, Any] = field(default_factory=dict)
    usage: list[dict[str, Any]] = field(default_factory=list)
    read_at: dict[str, float] = field(default_factory=dict)
    ticks: int = 0
    plan: dict[str, Any] | None = None
    lively_until: float = 0.0
    stir: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Watches:
    """All watches.

    Args:
        look: looks at a lab by its id; raises EngineError when the lab is not there or not ready.
    """

    def __init__(self, look: Callable[[str], Awaitable[Look]]) -> None:
        self._look = look
        self._labs: dict[str, Watched] = {}
        self._watches: dict[int, tuple[Peer, str]] = {}
        self._per_peer: dict[Peer, int] = {}
        self._ids = itertools.count(1)

    def watch(self, peer: Peer, lab: str) -> int:
        """Begin; what is known already is told at once."""
        if self._per_peer.get(peer, 0) >= WATCHES_PER_PEER:
            raise Exhausted(f"{WATCHES_PER_PEER} watches are on this connection already.", "End some: observe.unwatch.")
        if peer not in self._per_peer:
            peer.on_close.append(lambda: self._forget(peer))
        self._per_peer[peer] = self._per_peer.get(peer, 0) + 1
        number = next(self._ids)
        self._watches[number] = (peer, lab)
        watched = self._labs.get(lab)
        if watched is None:
            watched = self._labs[lab] = Watched(lab)
            watched.task = asyncio.get_running_loop().create_task(self._keep_looking(watched))
        watched.peers.setdefault(peer, set()).add(number)
        if watched.last is not None:
            asyncio.get_running_loop().call_soon(self._tell_all_of, watched, peer)  # behind the answer
        return number

    def unwatch(self, peer: Peer, number: int) -> None:
        """End a watch."""
        owner, lab = self._watches.get(number, (None, ""))
        if owner is None:
            raise NotFound(f"No watch {number}.", "It ended with its lab or its connection.")
        if owner is not peer:
            raise BadInput(f"Watch {number} belongs to another connection.")
        self._end(number, peer, lab)

    def lively(self, lab: str) -> None:
        """Something was typed or printed there: look soon."""
        watched = self._labs.get(lab)
        if watched is not None:
            watched.lively_until = asyncio.get_running_loop().time() + LIVELY_S
            watched.stir.set()

    def _end(self, number: int, peer: Peer, lab: str) -> None:
        del self._watches[number]
        self._per_peer[peer] -= 1
        watched = self._labs.get(lab)
        if watched is None:
            return
        numbers = watched.peers.get(peer, set())
        numbers.discard(number)
        if not numbers:
            watched.peers.pop(peer, None)
        if not watched.peers:
            del self._labs[lab]
            if watched.task is not None:
                watched.task.cancel()

    def _forget(self, peer: Peer) -> None:
        for number, (owner, lab) in list(self._watches.items()):
            if owner is peer:
                self._end(number, peer, lab)
        self._per_peer.pop(peer, None)

    async def _keep_looking(self, watched: Watched) -> None:
        """Look as long as somebody watches. A lab that is away for a moment (reset, pause) is waited for."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            watched.stir.clear()
            try:
                self._compare(watched, await self._look(watched.lab))
            except EngineError:
                pass  # creating, paused, ended: `lab.state` tells of that
            except Exception as error:  # the border of the task: a fault in a look must not end the watch in silence
                log.exception("look_failed", lab=watched.lab, exc_info=error)
            await asyncio.sleep(max(0.0, began + LOOK_S - loop.time()))
            if loop.time() > watched.lively_until:
                try:
                    await asyncio.wait_for(watched.stir.wait(), QUIET_LOOK_S - LOOK_S)
                except TimeoutError:
                    pass

    def _compare(self, watched: Watched, look: Look) -> None:
        self._compare_counters(watched, look)
        # The observer counts its changes; who asked for a snapshot in between may have made it count.
        if watched.last is None or look.observation.revision != watched.last.revision:
            watched.last = look.observation
            for peer in watched.peers:
                self._tell_observed(watched, peer)
        for terminal, where in look.where.items():
            if watched.where.get(terminal) != where:
                for peer in watched.peers:
                    _tell_where(peer, terminal, where)
        watched.where = look.where

    def _compare_counters(self, watched: Watched, look: Look) -> None:
        """Usage and plan, which are no part of what makes one observation differ from the next."""
        groups = look.observation.cgroups
        usage = [
            {"path": one.path, "processes": one.count, "cpu_ticks": one.cpu_ticks, **one.counters()} for one in groups
        ]
        for told in usage:
            # When the counters stood as they were told last: what is new was spent since then.
            told["since"] = watched.read_at.get(told["path"], told["at"])
        ticks = sum(group.cpu_ticks for group in groups)
        if ticks - watched.ticks >= BUSY_TICKS:
            watched.lively_until = asyncio.get_running_loop().time() + LIVELY_S
        watched.ticks = ticks
        watched.read_at = {told["path"]: told["at"] for told in usage}
        if _without_times(usage) != _without_times(watched.usage):
            watched.usage = usage
            for peer in watched.peers:
                _tell_usage(peer, watched)
        if look.plan != watched.plan:
            watched.plan = look.plan
            for peer in watched.peers:
                _tell_plan(peer, watched)

    def _tell_all_of(self, watched: Watched, peer: Peer) -> None:
        self._tell_observed(watched, peer)
        for terminal, where in watched.where.items():
            _tell_where(peer, terminal, where)
        if watched.usage:
            _tell_usage(peer, watched)
        if watched.plan is not None:
            _tell_plan(peer, watched)

    @staticmethod
    def _tell_observed(watched: Watched, peer: Peer) -> None:
        if watched.last is not None:
            told = fitting(watched.last.to_dict())
            event = wire.event("lab.observed", lab=watched.lab, revision=told["revision"], observation=told)
            peer.tell_news(("observed", watched.lab), event)


def _tell_where(peer: Peer, terminal: str, where: Any) -> None:
    peer.tell_news(("where", terminal), wire.event("terminal.where", terminal=terminal, where=where))


def _tell_usage(peer: Peer, watched: Watched) -> None:
    peer.tell_news(("usage", watched.lab), wire.event("lab.usage", lab=watched.lab, groups=watched.usage))


def _tell_plan(peer: Peer, watched: Watched) -> None:
    peer.tell_news(("plan", watched.lab), wire.event("lab.plan", lab=watched.lab, plan=watched.plan))


def _without_times(usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in group.items() if name not in ("at", "since")} for group in usage]


def _with_few(layers: dict[str, Any], few: int) -> dict[str, Any]:
    """Layers with no more than so many files told of each, the first ones."""
    trees = {
        key: {"files": tree["files"][:few], "truncated": tree["truncated"] or len(tree["files"]) > few}
        for key, tree in layers["trees"].items()
    }
    return {"unions": [{**union, "changes": union["changes"][:few]} for union in layers["unions"]], "trees": trees}


def fitting(observation: dict[str, Any]) -> dict[str, Any]:
    """The observation, less its bulkiest parts where it would not fit a frame; `truncated` names what is missing."""
    room, cut = wire.MAX_FRAME - 4096, list(observation.get("truncated", []))
    for few in (_FEW_FILES, 0):
        if wire.length(observation) > room and observation.get("layers"):
            observation = {**observation, "layers": _with_few(observation["layers"], few)}
            cut = [*[part for part in cut if part != "layers"], "layers"]
    for part in ("mounts", "links", "cgroups"):
        if wire.length(observation) <= room:
            break
        observation = {**observation, part: type(observation.get(part, {}))()}
        cut.append(part)
    while wire.length(observation) > room and len(observation.get("processes", [])) > 1:
        kept = observation["processes"][: len(observation["processes"]) // 2]
        observation = {**observation, "processes": kept}
        cut = [*[part for part in cut if part != "processes"], "processes"]
    return {**observation, "truncated": cut} if cut else observation
