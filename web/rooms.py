"""One room per lab that some page looks at: watches the lab once and tells every page in it.

A room has one `observe.watch` at the engine, however many pages look. It keeps the newest of each picture (the lab
observed, what its groups use, the plan of its last `hako run`), so that a page that joins sees the lab at once.
Watches do not survive the engine; after it came back every room watches again. Events arrive on the engine client's
reader thread, where nothing may ask the engine: what has to be asked runs on the worker pool.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.client import Disconnected, EngineClient
from engine.errors import EngineError
from web.sockets.connections import QUEUE_LONG, Page, Pages

_log = structlog.get_logger(__name__)
#: Places remembered: a few for each lab there can be; the oldest go first.
PLACES_MAX = 4096


@dataclass
class Room:
    """A lab with somebody in it."""

    lab: str
    watch: int | None = None
    #: Held while the watch is being asked for, so that two pages that come at once ask once.
    asking: threading.Lock = field(default_factory=threading.Lock)
    #: The newest of each picture as it goes to pages, by the name of the event; empty before the first.
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)


class Rooms:
    """See the module.

    Args:
        changed: told the lab's id when its observation changed; must not wait.
    """

    def __init__(self, engine: EngineClient, pages: Pages, changed: Callable[[str], None]) -> None:
        self._engine = engine
        self._pages = pages
        self._changed = changed
        self._lock = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._engine_life = 0  # counts losses of the engine
        #: Pages that were too slow for a picture; they get the newest one later.
        self._behind: set[Page] = set()
        #: The engine's id of a terminal -> where its foreground process was last.
        self._places: dict[str, dict[str, Any]] = {}

    def join(self, page: Page, lab: str) -> None:
        """The page looks at this lab from now on."""
        with self._lock:
            room = self._rooms.setdefault(lab, Room(lab))
        known = dict(room.pictures)
        self._watch(room)
        for name, picture in known.items():
            page.send(name, picture)

    def leave(self, lab: str) -> None:
        """A page stopped looking; the last one ends the watch."""
        with self._lock:
            if not lab or self._pages.of_lab(lab):
                return
            room = self._rooms.pop(lab, None)
        if room is not None:
            with room.asking:
                self._unwatch(room)

    def watch_again(self) -> None:
        """After the engine came back, or a lab became ready: watch whatever is not watched. Runs on a worker thread."""
        with self._lock:
            rooms = list(self._rooms.values())
        for room in rooms:
            self._watch(room)

    def _watch(self, room: Room) -> None:
        with room.asking:
            if room.watch is not None or not self._engine.connected:
                return  # an engine that is away: "connected" will bring us back here
            life = self._engine_life
            try:
                watch = self._engine.observe_watch(room.lab)
            except Disconnected:
                return
            except EngineError as error:
                # A lab that is being made or has ended cannot be watched; its next change of state comes here again.
                _log.info("lab_not_watched", lab=room.lab, reason=str(error))
                return
            with self._lock:
                if life != self._engine_life:
                    return  # the engine was lost right after its answer, and the watch with it
                room.watch = watch
                empty = self._rooms.get(room.lab) is not room
            if empty:  # the last page has left meanwhile
                self._unwatch(room)

    def _unwatch(self, room: Room) -> None:
        """Call with `asking` held."""
        watch, room.watch = room.watch, None
        if watch is not None:
            try:
                self._engine.observe_unwatch(watch)
            except EngineError as error:
                _log.debug("watch_gone", lab=room.lab, reason=str(error))

    def on_event(self, event: dict[str, Any]) -> None:
        """On the reader thread."""
        match event["event"]:
            case "lab.observed":
                picture = {"revision": event["revision"], "observation": event["observation"]}
                if self._picture(event["lab"], "observed", picture):
                    self._changed(event["lab"])
            case "lab.usage":
                self._picture(event["lab"], "usage", {"groups": event["groups"]})
            case "lab.plan":
                self._picture(event["lab"], "plan", {"plan": event["plan"]})
            case "terminal.where":
                self._where(event["terminal"], event["where"])
            case "disconnected":
                with self._lock:
                    self._engine_life += 1
                    for room in self._rooms.values():
                        room.watch = None

    def _picture(self, lab: str, name: str, picture: dict[str, Any]) -> bool:
        """Show it to all in the room; whether there is one."""
        room = self._rooms.get(lab)
        if room is None:
            return False
        room.pictures[name] = picture
        for page in self._pages.of_lab(lab):
            if page.wire.waiting() > QUEUE_LONG:
                self._behind.add(page)
            else:
                page.send(name, picture)
        return True

    def catch_up(self) -> None:
        """Give pages that were too slow the newest pictures; called about once a second."""
        for page in list(self._behind):
            room = self._rooms.get(page.lab)
            if page.gone or room is None:
                self._behind.discard(page)
            elif page.wire.waiting() <= QUEUE_LONG:
                self._behind.discard(page)
                for name, picture in list(room.pictures.items()):
                    page.send(name, picture)

    def tell_where(self, page: Page, name: str) -> None:
        """Tell a page that has just attached a terminal where its foreground process is, if that is known."""
        where = self._places.get(page.terminals.get(name, ""))
        if where is not None:
            page.send("where", {"terminal": name, "where": where})

    def _where(self, terminal: str, where: dict[str, Any]) -> None:
        while len(self._places) >= PLACES_MAX:
            self._places.pop(next(iter(self._places)), None)
        self._places[terminal] = where
        for page in self._pages.all():
            for name, engine_id in list(page.terminals.items()):
                if engine_id == terminal:
                    page.send("where", {"terminal": name, "where": where})
