"""Other learners at work while one is measured, in a process of their own so that they slow nothing but the servers.

    python -m tests.bench.others URL type SESSIONS INTERVAL_S     sessions that type
    python -m tests.bench.others URL flood                        one in which `yes` runs, on a page that keeps up

Prints "ready" when all are at it, goes on until its standard input is closed, then prints the echo times of those that
typed, in milliseconds, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from contextlib import ExitStack

from tests.bench.page import Page, Terminal, at_prompt, echo_ms

LINE = 60


def typing(page: Page, terminal: Terminal, interval_s: float, stop: threading.Event) -> list[float]:
    """Type into `cat` at about that interval until told to stop; the echo times, those of the line's end left out."""
    times: list[float] = []
    page.type(terminal, b"cat\r")
    page.until(terminal, lambda: terminal.tail.endswith(b"cat\r\n"), "cat")
    column = 0
    while not stop.wait(interval_s * random.uniform(0.5, 1.5)):
        if column == LINE:
            page.type(terminal, b"\r")
            page.until(terminal, lambda: terminal.tail.endswith(b"x\r\n" + b"x" * LINE + b"\r\n"), "cat's own line")
            column = 0
        else:
            times.append(echo_ms(page, terminal, b"x"))
            column += 1
    page.type(terminal, b"\x03")
    page.until(terminal, lambda: at_prompt(terminal), "a prompt")
    return times


def type_together(url: str, sessions: int, interval_s: float) -> list[float]:
    """Sessions that type, each on its own page; all their echo times."""
    stop = threading.Event()
    times: list[list[float]] = [[] for _ in range(sessions)]
    with ExitStack() as stack:
        pages = []
        for number in range(sessions):
            page = stack.enter_context(Page(url))
            page.lab()
            pages.append((page, page.attach(f"typist-{number}")))

        def work(number: int) -> None:
            times[number] = typing(*pages[number], interval_s, stop)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(sessions)]
        for thread in threads:
            thread.start()
        _wait()
        stop.set()
        for thread in threads:
            thread.join()
    return [each for every in times for each in every]


def flood(url: str) -> list[float]:
    """A terminal in which `yes` runs."""
    with Page(url) as page:
        page.lab()
        terminal = page.attach("flood")
        before = terminal.end
        page.type(terminal, b"yes\r")
        page.until(terminal, lambda: terminal.end > before + 1_000_000, "a flood")
        _wait()
        page.type(terminal, b"\x03")
        page.until(terminal, lambda: at_prompt(terminal), "a prompt")
    return []


def _wait() -> None:
    print("ready", flush=True)
    sys.stdin.read()


def work(argv: list[str]) -> int:
    """See the module."""
    url, kind, *more = argv
    times = flood(url) if kind == "flood" else type_together(url, int(more[0]), float(more[1]))
    print(json.dumps(times), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(work(sys.argv[1:]))
