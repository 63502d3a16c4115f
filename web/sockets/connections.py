"""The pages that are connected: what each may reach, and how it is told something.

Authorisation happens once, when a lab is opened or a terminal attached; what came of it is kept here. Later events
name a terminal or stream by the page's own words, looked up in this page's own tables: another learner's terminal has
no name in them. Nothing here survives the process, and nothing has to: a page that reconnects opens and attaches again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from web.auth import Identity
from web.lesson_model import Lesson
from web.sockets.limits import Limits

#: Packets a page may have waiting before what it can do without (pictures of the lab) is held back for it.
QUEUE_LONG = 64


class Wire(Protocol):
    """The way to one browser."""

    def send(self, event: str, *args: Any) -> None:
        """Queue one event. Never blocks; a page that is gone is not an error."""

    def waiting(self) -> int:
        """Packets queued and not yet sent."""

    def close(self) -> None:
        """End the transport so that the page's client comes back by itself."""


@dataclass(eq=False)
class Page:
    """One connected page (tab). `sid` is Socket.IO's name for it."""

    sid: str
    who: Identity
    wire: Wire
    lang: str
    limits: Limits = field(default_factory=Limits)
    lock: threading.RLock = field(default_factory=threading.RLock)
    #: What is open; empty before `open`.
    lesson: Lesson | None = None
    lab: str = ""
    attempt: int | None = None
    step: str = ""
    #: Terminal name -> the engine's id of it, authorised at attach.
    terminals: dict[str, str] = field(default_factory=dict)
    #: When a warning of each kind was last shown: one sentence is enough for a burst.
    warned: dict[str, float] = field(default_factory=dict)
    gone: bool = False

    def send(self, event: str, *args: Any) -> None:
        """Tell the page something."""
        if not self.gone:
            self.wire.send(event, *args)

    def warn_due(self, code: str, now: float, every_s: float = 2.0) -> bool:
        """Whether the warning `code` was not shown in the last `every_s` seconds; marks it as shown."""
        if now - self.warned.get(code, float("-inf")) < every_s:
            return False
        self.warned[code] = now
        return True


class Pages:
    """All pages of this process. Threads may share it."""

    def __init__(self, per_learner: int) -> None:
        self._lock = threading.Lock()
        self._by_sid: dict[str, Page] = {}
        self._per_learner = per_learner

    def add(self, page: Page) -> bool:
        """Enter a page; False when its learner has too many open."""
        with self._lock:
            if sum(other.who.learner == page.who.learner for other in self._by_sid.values()) >= self._per_learner:
                return False
            self._by_sid[page.sid] = page
            return True

    def get(self, sid: str) -> Page | None:
        """The page of this connection."""
        return self._by_sid.get(sid)

    def pop(self, sid: str) -> Page | None:
        """Take a page out; the second caller gets None."""
        with self._lock:
            page = self._by_sid.pop(sid, None)
        if page is not None:
            page.gone = True
        return page

    def all(self) -> list[Page]:
        """Every page, as it is now."""
        with self._lock:
            return list(self._by_sid.values())

    def where(self, wanted: Callable[[Page], bool]) -> list[Page]:
        """The pages `wanted` says yes to."""
        return [page for page in self.all() if wanted(page)]

    def of_lab(self, lab: str) -> list[Page]:
        """The pages that have this lab open."""
        return self.where(lambda page: page.lab == lab)

    def __len__(self) -> int:
        return len(self._by_sid)


def tell(pages: Iterable[Page], event: str, *args: Any) -> None:
    """Tell several pages the same."""
    for page in pages:
        page.send(event, *args)


def monotonic() -> float:
    """The clock of limits and warnings; here so that tests have one place to replace it."""
    return time.monotonic()
