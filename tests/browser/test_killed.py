"""kill -9 of web and engine in mid-lesson, seen through the whole real stack: no shell is lost and no byte.

A page without a browser (follower.py) follows a stream known to both sides (known_stream.py) in one terminal while
blocks are typed into another. At the end what it consumed must equal the stream, byte for byte; the shells are the same
processes; every block ran exactly once. The same with the real page: test_killed_page.py.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.client import EngineClient
from tests.browser import known_stream
from tests.browser.follower import Follower, Seen, until_gone
from tests.browser.stack import Stack, wait_until

pytestmark = [pytest.mark.root, pytest.mark.browser, pytest.mark.slow]
KILLS = 20
CUTS = 200
_PID = re.compile(rb"<(\d+)>\r\n")
SEED = 2014


@contextmanager
def engine_of(stack: Stack) -> Iterator[EngineClient]:
    """The engine's own door, to look behind the page's back."""
    with EngineClient(stack.folder / "run/lab.sock") as engine:
        yield engine


class Work:
    """A lab in mid-lesson: a stream in the terminal `lab`, blocks typed into `second`, one after the other."""

    def __init__(self, stack: Stack, page: Follower) -> None:
        self.stack, self.page = stack, page
        self.lab, self.second = page.attach("lab"), page.attach("second")
        self.pids = [self.shell(seen) for seen in (self.lab, self.second)]
        self.blocks = 0
        self._enough = threading.Event()
        self._typist = threading.Thread(target=self._type, name="typist")

    def shell(self, seen: Seen) -> int:
        """Asks a shell for its process number."""
        before = len(seen.data)
        self.page.type(seen.name, "echo '<'$$'>'\r", f"pid-{seen.name}-{before}")
        self.page.until(lambda: _PID.search(seen.data, before), "the shell's pid")
        found = _PID.search(seen.data, before)
        assert found
        return int(found[1])

    def begin(self) -> None:
        """Start both."""
        with engine_of(self.stack) as engine:
            script = (
                f"cat > /tmp/stream.py <<'PYTHON'\n{known_stream.program(SEED)}\nPYTHON\nrm -f {known_stream.ENOUGH}"
            )
            assert engine.lab_script(self.page.lab, script).status == 0
        self.page.type("lab", "python3 /tmp/stream.py\r", "stream")
        self.page.until_text(self.lab, known_stream.BEGIN)
        self._typist.start()

    def _type(self) -> None:
        while not self._enough.wait(0.02):
            self.page.type("second", f"echo {self.blocks} >> /tmp/typed\r", f"block-{self.blocks}")
            self.blocks += 1

    def goes_on(self) -> None:
        """Wait for more of the stream than can have been on its way."""
        here = self.lab.consumed
        self.page.until(lambda: self.lab.consumed > here + 1000, "more of the stream", 60)

    def end(self) -> int:
        """Stop both and prove it all; returns the number of bytes."""
        self._enough.set()
        self._typist.join(60)
        with engine_of(self.stack) as engine:
            total = int(self._read(engine, f"touch {known_stream.ENOUGH}", known_stream.TOTAL))
            begin = self.lab.data.find(known_stream.BEGIN)
            assert begin >= 0, f"it was reset: {self.lab.resets}"
            start = begin + len(known_stream.BEGIN)
            self.page.until(lambda: len(self.lab.data) >= start + total, "the end of the stream", 60)
            assert self.page.wrong == []
            assert self.lab.resets == self.second.resets == []
            assert self.lab.exits == self.second.exits == []
            got = bytes(self.lab.data[start : start + total])
            assert known_stream.first_difference(got, known_stream.expected(SEED, total)) is None
            assert [self.shell(seen) for seen in (self.lab, self.second)] == self.pids
            typed = [int(word) for word in self._read(engine, "true", "/tmp/typed").split()]
            assert typed == list(range(self.blocks))
            engine.lab_script(self.page.lab, f"rm {known_stream.TOTAL} /tmp/typed")
        return total

    def _read(self, engine: EngineClient, before: str, path: str) -> bytes:
        wait = f"{before}; for i in $(seq 300); do [ -s {path} ] && break; sleep 0.1; done; cat {path}"
        return engine.lab_script(self.page.lab, wait, timeout_s=40).stdout


@pytest.fixture
def work(stack: Stack) -> Iterator[Work]:
    """A lab in mid-lesson; a new one, for in the lab of the test before a program may still have the terminal."""
    stack.remove_labs()
    with Follower(stack.url) as page:
        try:
            made = Work(stack, page)
            made.begin()
            yield made
        finally:
            stack.remove_labs()


def kill_often(work: Work, kill: Callable[[int], int], program: str) -> None:
    """KILLS times; two of three after all has healed, the third whenever it hits, also in mid-recovery."""
    chance = random.Random(SEED)
    for number in range(KILLS):
        dead = kill(number)
        if dead:
            until_gone(dead)
        if number % 3 < 2:
            wait_until(lambda: work.stack.pid(program), f"{program} runs again")
            work.page.until_up()
            work.goes_on()
        work.page.pause(chance.uniform(0, 0.3))


def test_killing_web_20_times_loses_no_byte(work: Work) -> None:
    """Its master, its worker, or both at once, in turn."""

    def kill(number: int) -> int:
        if number % 3 == 1:
            work.stack.kill("web", master=False)
            return 0
        return work.stack.kill("web", worker=number % 3 == 0)

    kill_often(work, kill, "web")
    total = work.end()
    assert work.page.connects > KILLS // 2
    print(f"{KILLS} kills of web: {total:,} bytes, {work.blocks} blocks")


def test_killing_the_engine_20_times_loses_no_byte(work: Work) -> None:
    """The page never even loses its connection."""
    connects = work.page.connects
    kill_often(work, lambda _: work.stack.kill("engine"), "engine")
    total = work.end()
    assert work.page.connects == connects
    print(f"{KILLS} kills of the engine: {total:,} bytes, {work.blocks} blocks")


def test_200_broken_lines_lose_no_byte(work: Work) -> None:
    """The page's connection breaks at any moment, also before it has attached its terminals again."""
    chance, cuts = random.Random(SEED), 0
    while cuts < CUTS:
        if cuts % 4:
            work.page.until_up()
        work.page.pause(chance.uniform(0, 0.03))
        cuts += work.page.cut()
    work.page.until_up()
    work.goes_on()
    total = work.end()
    print(f"{cuts} broken lines: {total:,} bytes, {work.blocks} blocks")


def test_a_page_that_stands_still_through_six_deaths_loses_no_byte(work: Work) -> None:
    """Each new engine goes on with the page's credit as it was; what the page has not consumed is kept for it."""
    work.page.reads.clear()
    for _ in range(5):
        until_gone(work.stack.kill("engine"))
        wait_until(lambda: work.stack.pid("engine") and work.stack.ready(), "engine and web are together again", 60)
    until_gone(work.stack.kill("web"))
    work.page.reads.set()
    work.page.pause(0.2)
    work.page.until_up()
    work.goes_on()
    total = work.end()
    print(f"five kills of the engine and one of web under a page that reads nothing: {total:,} bytes")
