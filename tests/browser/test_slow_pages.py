"""Pages that read slowly or not at all, and two pages on one lab: nothing grows, nobody is held up, Ctrl-C works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser.follower import Follower, Seen
from tests.browser.stack import Stack

pytestmark = [pytest.mark.root, pytest.mark.browser]
#: What may be on its way to a page (engine/api/streams.py) and in the kernel's own buffers of a pty.
ON_ITS_WAY = 128 * 1024 + 96 * 1024
GROWTH = 6 * 1024 * 1024
#: Far above what it takes on a machine with nothing else to do; without back-pressure it would be minutes.
CTRL_C_S = 5.0


@pytest.fixture
def pages(stack: Stack) -> Iterator[list[Follower]]:
    """Two pages of one learner on one lab, a new one: in the last test's a program may still have the terminal."""
    stack.remove_labs()
    with ExitStack() as open_pages:
        yield [open_pages.enter_context(Follower(stack.url)) for _ in range(2)]


def own_memory(pid: int) -> int:
    """Bytes of a process's own memory (RssAnon, proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def at_prompt(page: Follower, name: str) -> Seen:
    """A terminal that waits for a command."""
    seen = page.attach(name)
    page.until_text(seen, b"# ")
    return seen


def run(page: Follower, seen: Seen, command: str, end: str) -> None:
    """Type a command that prints `end`, which is not in the command itself, and wait for that."""
    page.input(seen.name, f"{command}; echo {end[0]}''{end[1:]}\r".encode())
    page.until_text(seen, end.encode(), 60)


def test_a_page_that_reads_nothing_grows_nothing_and_ctrl_c_works(stack: Stack, pages: list[Follower]) -> None:
    """`yes` into a page that has stopped: engine and web stay as large as they are, another terminal is quick."""
    page, other = pages
    flood, quick = at_prompt(page, "lab"), at_prompt(other, "second")
    processes = [stack.pid("engine"), *stack.workers()]
    page.input("lab", b"yes\r")
    page.until(lambda: flood.consumed > 2_000_000, "a flood")
    page.reads.clear()
    before = [own_memory(pid) for pid in processes]
    most = before
    end = time.monotonic() + 3
    while time.monotonic() < end:
        most = [max(pair) for pair in zip(most, map(own_memory, processes), strict=True)]
        began = time.monotonic()
        run(other, quick, "true", f"quick-{began}")
        assert time.monotonic() - began < CTRL_C_S
    assert all(now - then < GROWTH for now, then in zip(most, before, strict=True)), (before, most)
    stopped_at = flood.consumed
    page.input("lab", b"\x03")
    began = time.monotonic()
    page.reads.set()
    page.until(lambda: flood.data.endswith(b"# "), "a prompt", 30)
    assert time.monotonic() - began < CTRL_C_S
    assert flood.consumed - stopped_at < ON_ITS_WAY
    assert page.wrong == [] == flood.resets
    print(f"own memory, bytes: {before} -> {most}; {flood.consumed - stopped_at:,} bytes after Ctrl-C")


def test_ctrl_c_under_yes_while_the_page_reads(pages: list[Follower]) -> None:
    """The prompt comes back soon, without a byte lost on the way."""
    page, _ = pages
    flood = at_prompt(page, "lab")
    page.input("lab", b"yes\r")
    page.until(lambda: flood.consumed > 2_000_000, "a flood")
    page.input("lab", b"\x03")
    began = time.monotonic()
    page.until(lambda: flood.data.endswith(b"# "), "a prompt", 30)
    took = time.monotonic() - began
    assert took < CTRL_C_S
    assert page.wrong == [] == flood.resets
    print(f"Ctrl-C under yes: prompt after {took * 1000:.0f} ms")


def test_two_pages_see_the_same(pages: list[Follower]) -> None:
    """What either types, both are shown, byte for byte, from where both are there on."""
    one, two = pages
    first = at_prompt(one, "lab")
    second = at_prompt(two, "lab")
    run(one, first, "seq 20000", "done-one")
    two.until_text(second, b"done-one", 60)
    run(two, second, "seq 20000", "done-two")
    one.until_text(first, b"done-two", 60)
    one.until(lambda: first.data.endswith(b"# "), "a prompt")
    two.until(lambda: second.consumed >= first.consumed, "the same offset")
    assert first.begin is not None and second.begin is not None
    assert one.wrong == [] == two.wrong
    assert second.resets == []
    assert first.data[second.begin - first.begin :] == second.data


def test_a_second_page_that_stands_still_holds_the_first_up_for_a_second_only(pages: list[Follower]) -> None:
    """As a hidden tab does; when it reads again it is told that it missed something, and shows the same end."""
    one, two = pages
    first = at_prompt(one, "lab")
    second = at_prompt(two, "lab")
    two.reads.clear()
    began = time.monotonic()
    run(one, first, "seq 200000", "done-one")
    took = time.monotonic() - began
    two.reads.set()
    two.until_text(second, b"done-one", 60)
    assert one.wrong == [] == first.resets
    assert len(second.resets) == 1
    two.until(lambda: second.consumed >= first.consumed, "the same offset")
    assert first.data.endswith(second.data)
    print(f"1.3 MB past a page that stands still: {took:.1f} s")
