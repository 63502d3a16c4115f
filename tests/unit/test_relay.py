"""The relay when page and engine come and go at the same moment: no stream is left that nobody acknowledges."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from engine.client import Attached, Disconnected, EngineClient, TerminalInfo
from web.auth import Identity
from web.metrics import Metrics
from web.sockets.connections import Page
from web.terminal.relay import Relay


class Engine:
    """Answers as the engine does; the answer to an attach can be held back."""

    def __init__(self) -> None:
        self.streams: dict[int, str] = {}
        self.consumed: dict[int, int | None] = {}
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.away = False
        self._next = 0

    def terminal_open(self, lab: str, name: str, rows: int, cols: int) -> TerminalInfo:
        return TerminalInfo(terminal=f"{lab}.{name}", name=name, offset=0, start=0, rows=rows, cols=cols, exited=None)

    def terminal_attach(
        self,
        terminal: str,
        offset: int | None,
        rows: int,
        cols: int,
        *,
        consumed: int | None,
        on_attached: Callable[[Attached], None],
    ) -> Attached:
        self.asked.set()
        assert self.may_answer.wait(10)
        if self.away:
            raise Disconnected("away")
        self._next += 1
        self.streams[self._next] = terminal
        self.consumed[self._next] = consumed
        attached = Attached(stream=self._next, offset=offset or 0, reset=False, end=offset or 0)
        on_attached(attached)
        return attached

    def terminal_ack(self, stream: int, consumed: int) -> None:
        if self.away:
            raise Disconnected("away")
        self.consumed[stream] = consumed

    def terminal_detach(self, stream: int) -> None:
        del self.streams[stream]


class Silent:
    """A browser that says nothing."""

    def send(self, event: str, *args: Any) -> None: ...
    def waiting(self) -> int:
        return 0

    def close(self) -> None: ...


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def relay(engine: Engine) -> Relay:
    return Relay(cast(EngineClient, engine), Metrics())


@pytest.fixture
def page() -> Page:
    return Page("sid", Identity("ann", "session"), Silent(), "en", lab="lab")


@pytest.fixture
def returning(engine: Engine, relay: Relay, page: Page) -> Iterator[threading.Thread]:
    """The engine has gone and come back; the relay has asked to take up the page's stream and waits for the answer."""
    relay.attach(page, "shell", 1, None, 24, 80)
    relay.on_event({"event": "terminal.output", "stream": 1, "offset": 0, "data": b"x" * 100})
    relay.on_event({"event": "disconnected"})
    engine.streams.clear()
    engine.asked.clear()
    engine.may_answer.clear()
    thread = threading.Thread(target=relay.reattach)
    thread.start()
    assert engine.asked.wait(10)
    yield thread
    thread.join(10)


def test_a_page_that_goes_while_its_stream_is_taken_up_leaves_none(
    engine: Engine, relay: Relay, page: Page, returning: threading.Thread
) -> None:
    """The answer comes after the page has gone: the stream is ended, not kept for nobody."""
    page.gone = True
    relay.drop(page)
    engine.may_answer.set()
    returning.join(10)
    assert engine.streams == {}
    assert relay.of_page(page) == []


def test_a_page_that_attaches_itself_meanwhile_has_one_stream(
    engine: Engine, relay: Relay, page: Page, returning: threading.Thread
) -> None:
    """The page's own request replaces the one the relay had made for it."""
    own = threading.Thread(target=relay.attach, args=(page, "shell", 2, 100, 24, 80))
    own.start()
    engine.may_answer.set()
    own.join(10)
    returning.join(10)
    assert [stream.number for stream in relay.of_page(page)] == [2]
    assert len(engine.streams) == 1


def test_a_stream_that_is_there_is_not_taken_up_again(engine: Engine, relay: Relay, page: Page) -> None:
    """The page was quicker than the relay after the engine came back."""
    relay.attach(page, "shell", 1, None, 24, 80)
    relay.on_event({"event": "disconnected"})
    engine.streams.clear()
    relay.attach(page, "shell", 2, 0, 24, 80)
    relay.reattach()
    assert len(engine.streams) == 1


def test_an_engine_that_goes_again_is_waited_for(engine: Engine, relay: Relay, page: Page) -> None:
    """Taking up fails half-way; the next return takes up what is left."""
    relay.attach(page, "shell", 1, None, 24, 80)
    relay.on_event({"event": "disconnected"})
    engine.streams.clear()
    engine.away = True
    relay.reattach()
    engine.away = False
    relay.reattach()
    assert list(engine.streams.values()) == ["lab.shell"]


def test_credit_goes_on_where_it_was_when_the_engine_comes_back(engine: Engine, relay: Relay, page: Page) -> None:
    """A page that draws slowly has no more on its way after ten restarts than after none, and no word of it is lost."""
    relay.attach(page, "shell", 1, None, 24, 80)
    relay.on_event({"event": "terminal.output", "stream": 1, "offset": 0, "data": b"x" * 100})
    relay.ack(page, 1, 30)
    engine.away = True
    relay.on_event({"event": "disconnected"})
    relay.ack(page, 1, 60)
    engine.away = False
    relay.reattach()
    assert engine.consumed[2] == 60


def test_what_is_acknowledged_while_a_stream_is_taken_up_is_told(
    engine: Engine, relay: Relay, page: Page, returning: threading.Thread
) -> None:
    """Else engine and page would wait for each other."""
    relay.ack(page, 1, 100)
    engine.may_answer.set()
    returning.join(10)
    assert engine.consumed[2] == 100
