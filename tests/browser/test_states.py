"""WCAG on each state of the lesson page, the keyboard alone, and the switch for screen readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]
LOOKS: list[dict[str, Any]] = [
    {"lang": "en", "color_scheme": "light", "width": 1920, "height": 1080},
    {"lang": "ja", "color_scheme": "dark", "width": 1024},
]


def _clean(page: LessonPage, state: str) -> None:
    assert violations(page.page) == [], state


@pytest.mark.parametrize("look", LOOKS, ids=["light-1920", "dark-1024"])
def test_a_step_in_every_state_can_be_read_by_all(lesson: Open, look: dict[str, Any]) -> None:
    """Predicted, hinted, asked whether to reset, checked, shown, done; the end with its quiz answered."""
    page = lesson(**look)
    form = page.step.locator("form.predict").first
    form.locator("label").nth(1).click()
    form.locator("button[type=submit]").click()
    _clean(page, "predicted")
    help_bar = page.step.locator(".help button")
    help_bar.nth(0).click()
    help_bar.last.click()
    _clean(page, "a hint, and the question before a reset")
    page.step.locator(".help-said button").last.click()
    help_bar.nth(2).click()
    wait_until(lambda: page.step.locator(".help-said").inner_text() != "", "checked on demand")
    _clean(page, "checked")
    help_bar.nth(1).click()
    wait_until(lambda: page.state("own-name") == "done", "the kernel agrees")
    _clean(page, "shown and done")
    page.evaluate("hako.course.go('outro')")
    quiz = page.step.locator("[data-quiz] form.predict").first
    quiz.locator("label").first.click()
    quiz.locator("button[type=submit]").click()
    _clean(page, "the end")


@pytest.mark.parametrize("theme", ["dark", "projector"])
def test_every_view_can_be_read_by_all(lesson: Open, theme: str) -> None:
    """As drawing and as table, with something new in the lab; by the theme chosen in the page."""
    page = lesson()
    page.page.click("[popovertarget=settings]")
    page.page.locator(f"#settings input[value={theme}]").check()
    _clean(page, "the menu")
    page.page.keyboard.press("Escape")
    page.type("unshare -u bash\n")
    page.page.locator(".map .group.fresh").wait_for()
    tabs = page.page.locator(".views-bar [role=tab]")
    for kind in ("drawing", "table"):
        page.page.get_by_role("button", name=f"As a {kind}").click()
        for index in range(tabs.count()):
            tabs.nth(index).click()
            _clean(page, f"{tabs.nth(index).inner_text()} as a {kind}")


def test_what_goes_wrong_can_be_read_by_all(lesson: Open) -> None:
    """A paused lab, an ended one, a lost connection, a shell that ended, a paste of many lines, the search."""
    page = lesson()
    page.evaluate("hako.labVerb('pause')")
    page.page.get_by_role("button", name="Go on", exact=True).wait_for()
    _clean(page, "paused")
    page.page.get_by_role("button", name="Go on", exact=True).click()
    wait_until(lambda: page.evaluate("hako.lab.state") == "ready", "it goes on")
    page.page.click("#tab-lab")
    page.page.keyboard.press("Control+Shift+F")
    _clean(page, "the search")
    page.page.keyboard.press("Escape")
    page.type("exit\n")
    page.page.get_by_role("button", name="New shell").wait_for()
    _clean(page, "a shell that ended")
    page.evaluate("hako.deck.frames.get('lab').askPaste({text: 'a\\nb', lines: 2})")
    _clean(page, "a paste")
    page.evaluate("hako.labVerb('remove')")
    page.page.get_by_role("button", name="Make a new lab").wait_for()
    _clean(page, "an ended lab")
    page.evaluate("hako.line.tell({message: 'Something.', hint: 'Do this.'})")
    _clean(page, "a trouble")


def test_a_step_is_done_by_the_keyboard_alone(lesson: Open) -> None:
    """From the top of the page: into the text, predict, run, done, turn the page; into a terminal and out again."""
    page = lesson()
    press = page.page.keyboard.press

    def tab_to(selector: str, most: int = 60) -> None:
        for _ in range(most):
            if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                return
            press("Tab")
        raise AssertionError(f"no way to {selector} by Tab; at {page.evaluate('document.activeElement.outerHTML')}")

    press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    press("Enter")
    tab_to("form.predict input")
    press("ArrowDown")
    tab_to("form.predict button[type=submit]")
    press("Enter")
    assert page.step.locator("form.predict.answered").count() == 1
    for number in range(page.step.locator("figure.command[data-mode=run]").count()):
        tab_to(f"figure.command[data-block=uts-{number + 1}] button.primary")
        press("Enter")
        page.step.locator(f"figure.command[data-block=uts-{number + 1}]").get_by_text("Typed into").wait_for()
    wait_until(lambda: page.state("own-name") == "done", "the kernel agrees")
    tab_to("[data-move='1']")
    press("Enter")
    assert page.step.get_attribute("id") == "step-pid"
    assert page.evaluate("document.activeElement.tagName") == "H2"
    press("F6")
    assert page.evaluate("!!document.activeElement.closest('.screen')")
    escape = page.evaluate("document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText")
    assert "Ctrl Shift Esc" in escape
    press("Shift+F6")
    assert page.evaluate("document.activeElement.tagName") == "H2"


def test_the_switch_for_screen_readers(lesson: Open) -> None:
    """Off by default; switched on, the rows of the terminal are text for a screen reader, and it is remembered."""
    page = lesson()
    rows = page.page.locator("#frame-lab .xterm-accessibility")
    assert rows.count() == 0
    page.page.click("[popovertarget=settings]")
    page.page.get_by_label("Read the terminal to a screen reader").check()
    page.page.keyboard.press("Escape")
    page.type("echo for-all-$((1+1))\n")
    wait_until(lambda: "for-all-2" in (rows.text_content() or ""), "the output is there as text")
    _clean(page, "screen reader mode")
    page.page.reload()
    page.until("root@")
    wait_until(lambda: rows.count() == 1, "remembered")
