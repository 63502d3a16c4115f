"""On a phone: three tabs, a row of keys, one terminal, and nothing sticks out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]
PHONE = {"width": 390, "height": 780, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_each_of_the_three_parts_fills_the_screen(lesson: Open, lang: str) -> None:
    """Text, terminals, views behind tabs; each can be read by all, none is wider than the screen."""
    page = lesson(lang=lang, **PHONE)
    for part in ("text", "terminals", "views"):
        page.page.locator(f".phone-tabs [data-pane={part}]").tap()
        assert [name for name in ("text", "terminals", "views") if page.page.locator(f"#{name}").is_visible()] == [part]
        # Not at once: a terminal that has just come to the front has its size a moment later.
        wait_until(lambda: page.evaluate("document.documentElement.scrollWidth") == 390, f"{part} fits the screen")
        assert violations(page.page) == []


def test_run_brings_the_terminal_to_the_front(lesson: Open) -> None:
    """What was typed is to be seen; the text is one tap away, at the same place."""
    page = lesson(**PHONE)
    page.page.locator(".phone-tabs [data-pane=text]").tap()
    page.run(1)
    page.page.locator("#terminals").wait_for(state="visible")
    page.until("unshare")
    page.page.locator(".phone-tabs [data-pane=text]").tap()
    assert page.step.locator("figure.command").first.is_visible()


def test_the_row_of_keys_types_what_glass_has_not(lesson: Open) -> None:
    """Ctrl holds for one letter and says so; the arrow brings the line before; the focus stays in the terminal."""
    page = lesson(**PHONE)
    page.page.locator(".phone-tabs [data-pane=terminals]").tap()
    keys = page.page.locator("#phone-keys")
    page.page.locator("#frame-lab .screen").tap()
    page.page.keyboard.type("echo one-$((1+1))\n")
    page.until("\none-2")
    keys.get_by_role("button", name="↑").tap()
    page.page.keyboard.type("\n")
    wait_until(lambda: page.text().count("\none-2") == 2, "the line before, again")
    page.page.keyboard.type("sleep 1000\n")
    page.until("sleep 1000")
    ctrl = keys.get_by_role("button", name="Ctrl")
    ctrl.tap()
    assert ctrl.get_attribute("aria-pressed") == "true"
    page.page.keyboard.type("c")
    page.until("^C")
    assert ctrl.get_attribute("aria-pressed") == "false"
    page.page.keyboard.type("echo c\n")
    page.until("\nc\n")
    assert page.evaluate("!!document.activeElement.closest('.screen')")


def test_one_terminal_is_shown_and_the_rest_are_tabs(lesson: Open) -> None:
    """What was split on a desk is not split here."""
    page = lesson(**PHONE)
    page.page.locator(".phone-tabs [data-pane=terminals]").tap()
    page.evaluate("hako.deck.split('x')")
    page.until("root@", "second")
    assert page.page.locator(".frame:visible").count() == 1
    page.page.locator("#tab-lab").tap()
    assert page.page.locator("#frame-lab").is_visible()
    assert not page.page.locator("#frame-second").is_visible()
