"""Lesson 03 from its first step to its last: by mouse in Japanese, by keyboard alone in English."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
Open = Callable[..., LessonPage]

# root@lab:~#, nobody@lab:/root$, bash-5.2#, busybox's / #
PROMPT = re.compile(r"^(?:\S+@\S+:[^#$\n]*|bash-[\d.]+|/ )[#$]", re.MULTILINE)
TABS = 120  # more than any step has
# Blocks that end what a check looks for: the text says to go on when the check is done, so that is what is done here.
CHECKED_BEFORE = {
    "uts-5": ["own-name"],
    "pid-4": ["pid-one"],
    "proc-4": ["own-proc"],
    "mount-3": ["own-mount"],
    "mount-6": ["spread"],
    "talk-6": ["both-cut", "lo-up"],
    "user-7": ["mapped-root"],
    "cgroup-time-6": ["own-cgroup-root", "own-clock"],
}


def prompts(page: LessonPage, terminal: str) -> int:
    """How many prompts a terminal has shown."""
    return len(PROMPT.findall(page.text(terminal)))


def settled(page: LessonPage, terminal: str, before: int, lines: int) -> None:
    """Wait until each typed line has been answered by another prompt."""
    wait_until(
        lambda: prompts(page, terminal) >= before + lines and PROMPT.search(page.text(terminal).rsplit("\n", 1)[-1]),
        lambda: f"{lines} more prompts than {before} in {page.text(terminal)!r}",
        30,
    )


def type_block(page: LessonPage, block: Locator, press: Callable[[], None]) -> None:
    """Press a block's run button in some way, and wait until the shell is done with it."""
    wanted = CHECKED_BEFORE.get(block.get_attribute("data-block") or "", [])
    wait_until(
        lambda: all(page.state(check) == "done" for check in wanted),
        lambda: f"{wanted} are done: {page.step.locator('.checks').inner_text()!r}",
    )
    terminal = block.get_attribute("data-terminal") or "lab"
    lines = block.locator("code").inner_text().strip().count("\n") + 1
    if page.page.locator(f"#tab-{terminal}").count() == 0:
        page.until("root@", terminal)
    before = prompts(page, terminal)
    press()
    settled(page, terminal, before, lines)


def fill_in(page: LessonPage, code: Locator) -> str:
    """The text for a block that has a place to fill: the pid of the shell in "second"."""
    page.until("root@", "second")
    pid = page.evaluate(
        "() => [...hako.views.named('namespaces').front].find(([pid, name]) => name === 'second')?.[0]",
    )
    process = next(one for one in page.evaluate("hako.views.named('namespaces').seen.processes") if one["pid"] == pid)
    return re.sub("‹[^›]*›", str(process["nspid"][0]), code.inner_text())


def done(page: LessonPage, step: str) -> None:
    """The kernel says that the step is done, and the page says what was learnt."""
    section = page.page.locator(f"#step-{step}")
    wait_until(
        lambda: page.evaluate("step => hako.course.isDone(step)", step),
        lambda: f"{step} is done: {section.locator('.checks').inner_text()!r}",
        15,
    )
    assert section.locator(".learnt").is_visible()
    assert section.locator("[data-check]:not([data-state=done])").count() == 0


def predict(page: LessonPage, forms: str = "form.predict", *, last: bool = False) -> None:
    """Choose the first answer of each question in the step, or the last one; each is answered with a reason."""
    for form in page.step.locator(forms).all():
        labels = form.locator("label")
        (labels.last if last else labels.first).click()
        form.locator("button[type=submit]").click()
        assert form.locator(".why:visible").count() >= 1


def test_the_whole_lesson_by_mouse_in_japanese(lesson: Open) -> None:
    """Every prediction, every block, every check, the quiz: all with the mouse."""
    page = lesson(lang="ja")
    for step in page.evaluate("hako.course.lesson.steps.map(step => step.id)"):
        assert page.step.get_attribute("id") == f"step-{step}"
        predict(page)
        for block in page.step.locator("figure.command:not([data-mode=copy])").all():
            if block.get_attribute("data-mode") == "edit":
                block.locator("code").fill(fill_in(page, block.locator("code")))
            type_block(page, block, block.locator("button.primary").click)
        done(page, step)
        page.step.locator("[data-move='1']").click()
    predict(page, "[data-quiz] form.predict", last=True)
    assert page.page.locator("#marks .done").count() == 8


def focused(page: LessonPage) -> Locator:
    return page.page.locator(":focus")


def by_keyboard(page: LessonPage, step: str) -> None:
    """Walk the step with Tab and do what is found: choose, run, fill in; stop at "next"."""
    keyboard = page.page.keyboard
    for _ in range(TABS):
        keyboard.press("Tab")
        here = focused(page)
        kind = page.evaluate(
            """() => {
                const here = document.activeElement;
                if (here.matches("form.predict:not(.answered) input")) return "choose";
                if (here.matches("figure.command code[contenteditable]")) return "edit";
                if (here.matches("figure.command button.primary:not(:disabled)")) return "run";
                if (here.matches("[data-move='1']")) return "next";
                return here.closest("#lesson") ? "" : "outside";
            }"""
        )
        assert kind != "outside", f"Tab left the text of {step} before its end"
        if kind == "choose":
            keyboard.press("Space")
            keyboard.press("Tab")
            keyboard.press("Enter")
        elif kind == "edit":
            text = fill_in(page, here)
            keyboard.press("Control+a")
            keyboard.type(text)
        elif kind == "run":
            block = page.page.locator("figure.command:has(:focus)")
            type_block(page, block, lambda: keyboard.press("Enter"))
        elif kind == "next":
            return
    raise AssertionError(f"no way to the end of {step} by Tab")


def test_the_whole_lesson_by_keyboard_in_english(lesson: Open) -> None:
    """The same with Tab, Space, Enter and letters; the focus never falls out of the page."""
    page = lesson(lang="en")
    page.page.keyboard.press("Shift+F6")
    page.page.keyboard.press("F6")
    page.evaluate("hako.panes.focus('text')")
    for step in page.evaluate("hako.course.lesson.steps.map(step => step.id)"):
        by_keyboard(page, step)
        done(page, step)
        page.page.keyboard.press("Enter")
        wait_until(lambda: focused(page).evaluate("it => it.tagName") == "H2", "the next heading has the focus")
    assert page.page.locator("#outro").is_visible()
