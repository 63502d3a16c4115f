"""kill -9 of web, engine and zygote under the real page in Chromium: what it says, that it heals, that work goes on.

The supervisor is stopped (SIGSTOP) where a test wants to look at the page while something is away; else a new process
is there before a sentence is worth reading. Bytes are counted in test_killed.py; here it is what a person sees.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]
HEAL_S = 40.0


@contextmanager
def nobody_restarts(stack: Stack) -> Iterator[None]:
    """What is killed stays away until the end of the block."""
    assert stack.process is not None
    os.kill(stack.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.process.pid, signal.SIGCONT)


def said(page: LessonPage) -> str:
    """The sentence above the terminals; empty when all is as usual."""
    return page.page.locator("#line").inner_text() if page.page.locator("#line").is_visible() else ""


def works(page: LessonPage, word: str) -> None:
    """The terminal takes keys and shows output, each once."""
    page.type(f"echo {word[0]}''{word[1:]}\n")
    page.until(f"\n{word}", deadline_s=HEAL_S)
    assert page.text().count(f"\n{word}") == 1


def test_six_kills_in_mid_lesson_and_the_step_is_still_done(lesson: Open, stack: Stack) -> None:
    """Output goes on without a gap, and the step's check sees what is done afterwards."""
    page = lesson(step="uts")
    page.type("for i in $(seq 1 300); do echo n-$i; sleep 0.03; done\n")
    for number, program in enumerate(["web", "engine"] * 3):
        page.until(f"\nn-{(number + 1) * 20}\n", deadline_s=HEAL_S)
        stack.kill(program)
    page.until("\nn-300\n", deadline_s=HEAL_S)
    wait_until(page.online, "it is back", HEAL_S)
    lines = [line for line in page.text().splitlines() if line.startswith("n-")]
    assert lines == [f"n-{number}" for number in range(1, 301)]
    page.page.reload()
    page.until("\nn-300\n")
    page.type("unshare -u bash\n")
    page.type("hostname box\n")
    check = page.step.locator("[data-check]").first
    wait_until(lambda: check.get_attribute("data-state") == "done", "the check sees it", HEAL_S)


def test_a_lost_connection_is_said_and_heals(lesson: Open, stack: Stack) -> None:
    """The page says what it means for the work and when it tries again; keys are refused in words, not kept."""
    page = lesson()
    page.page.click("#tab-lab")
    with nobody_restarts(stack):
        stack.kill("web")
        wait_until(lambda: "connection is lost" in said(page), lambda: f"said: {said(page)!r}")
        assert "what you type now is not sent" in said(page)
        page.page.keyboard.type("echo lost")
        assert "Not sent" in page.page.inner_text("#frame-lab .strip")
    wait_until(page.online, "it heals by itself", HEAL_S)
    wait_until(lambda: said(page) == "", lambda: f"said: {said(page)!r}")
    works(page, "back")
    assert "echo lost" not in page.text()


def test_an_engine_that_is_away_is_said_and_heals(lesson: Open, stack: Stack) -> None:
    """The same for the engine alone: the page stays connected."""
    page = lesson()
    page.page.click("#tab-lab")
    with nobody_restarts(stack):
        stack.kill("engine")
        wait_until(lambda: "engine does not answer" in said(page), lambda: f"said: {said(page)!r}")
        page.page.keyboard.type("echo lost")
        assert page.online()
    wait_until(lambda: "engine does not answer" not in said(page), lambda: f"said: {said(page)!r}", HEAL_S)
    works(page, "back")
    assert "echo lost" not in page.text()
    wait_until(lambda: said(page) == "", lambda: f"said: {said(page)!r}")


def test_web_that_comes_back_before_the_engine_heals_too(lesson: Open, stack: Stack) -> None:
    """The page connects while there is no engine: it waits for it instead of asking for another lab."""
    page = lesson()
    works(page, "before")
    with nobody_restarts(stack):
        stack.kill("web")
        stack.kill("engine")
        wait_until(lambda: not page.online(), "the page notices")
    wait_until(lambda: stack.pid("engine"), "the engine starts")
    engine = stack.pid("engine")
    os.kill(engine, signal.SIGSTOP)
    try:
        wait_until(page.online, "the page is connected again", HEAL_S)
        wait_until(lambda: "engine does not answer" in said(page), lambda: f"said: {said(page)!r}")
    finally:
        os.kill(engine, signal.SIGCONT)
    wait_until(lambda: said(page) == "", lambda: f"said: {said(page)!r}", HEAL_S)
    works(page, "after")
    assert page.text().count("\nbefore") == 1


@pytest.mark.parametrize("stuck", ["web", "engine"])
def test_a_block_whose_answer_is_lost_is_typed_once(lesson: Open, stack: Stack, stuck: str) -> None:
    """The press is under way when web dies: asked again with the same key, typed once, and said so.

    With web stuck the engine has never heard of it; with the engine stuck it has, and types it when web is dead.
    """
    page = lesson(step="uts")
    block = page.step.locator("figure.command[data-mode=run]").first
    line = block.locator("code").inner_text().splitlines()[0]
    held = [stack.pid("engine")] if stuck == "engine" else stack.workers()
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    page.run(1)
    if stuck == "engine":
        wait_until(stack.unread, "the request is with the engine")
    stack.kill("web")
    if stuck == "engine":
        os.kill(held[0], signal.SIGCONT)
    told = block.locator(".command-said")
    wait_until(lambda: "yped" in (told.text_content() or ""), lambda: f"told: {told.text_content()!r}", HEAL_S)
    assert "yped into" in (told.text_content() or "")
    works(page, "after")
    assert page.text().count(line) == 1, page.text()


def test_without_the_zygote_the_labs_are_gone_and_a_new_one_is_offered(lesson: Open, stack: Stack) -> None:
    """What ends with it is said in words, what stays too; one press makes a new lab."""
    page = lesson()
    works(page, "before")
    stack.kill("zygote")
    again = page.page.locator("#line").get_by_role("button", name="Make a new lab")
    again.wait_for(timeout=HEAL_S * 1000)
    assert "This lab has ended" in said(page)
    assert "None" not in said(page) and "null" not in page.page.inner_text("#frame-lab .strip")
    again.click()
    wait_until(lambda: "root@" in page.text() and "before" not in page.text(), "a new shell", HEAL_S)
    works(page, "after")
    wait_until(lambda: said(page) == "", lambda: f"said: {said(page)!r}")
