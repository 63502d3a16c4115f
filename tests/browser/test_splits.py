"""Terminals beside and below each other: by buttons and keys, moved, remembered, closed again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]


def _size(page: LessonPage, name: str) -> list[int]:
    found: list[int] = page.evaluate(
        "name => { const {term} = hako.deck.frames.get(name).terminal; return [term.rows, term.cols]; }", name
    )
    return found


def test_a_split_beside_and_one_below_and_the_shells_know_their_size(lesson: Open) -> None:
    """Half the columns beside, half the rows below; what the kernel holds is what is shown."""
    page = lesson()
    before = _size(page, "lab")
    page.page.get_by_role("button", name="Split: another terminal to the right").click()
    wait_until(lambda: _size(page, "lab")[1] < before[1] * 0.6, "half of the columns")
    page.page.get_by_role("button", name="Split: another terminal below").click()
    wait_until(lambda: _size(page, "third")[0] < before[0] * 0.6, "half of the rows")
    assert page.page.locator(".frame:visible").count() == 3
    page.until("root@", "third")
    page.page.keyboard.type("echo size $(stty size)\n")
    page.until("size {} {}\n".format(*_size(page, "third")), "third")
    assert violations(page.page) == []


def test_splits_by_keys_alone_out_of_a_terminal(lesson: Open) -> None:
    """Alt Shift arrows split and join, Ctrl Shift arrows go from one to the next; the shells get nothing of it."""
    page = lesson()
    page.page.click("#tab-lab")
    press = page.page.keyboard.press
    press("Alt+Shift+ArrowDown")
    wait_until(lambda: page.page.locator(".frame:visible").count() == 2, "two")
    wait_until(lambda: page.evaluate("hako.deck.active") == "second", "the new one has the keys")
    press("Control+Shift+ArrowDown")
    assert page.evaluate("document.activeElement.closest('.frame').id") == "frame-lab"
    page.page.keyboard.type("echo still-mine\n")
    page.until("\nstill-mine")
    press("Alt+Shift+ArrowUp")
    assert page.evaluate("hako.deck.arrangement.names('')") == ["lab"]
    assert page.page.locator(".frame:visible").count() == 1
    assert page.page.get_by_role("tab", name="second").is_visible()


def test_four_are_shown_at_most(lesson: Open) -> None:
    """The buttons say that no more can be had, and pressing them does nothing."""
    page = lesson()
    button = page.page.get_by_role("button", name="Split: another terminal to the right")
    for count in (2, 3, 4):
        button.click()
        wait_until(lambda count=count: page.page.locator(".frame:visible").count() == count, f"{count} terminals")
    assert button.get_attribute("aria-disabled") == "true"
    page.page.click("#tab-lab")
    page.page.keyboard.press("Alt+Shift+ArrowRight")
    assert page.page.locator(".frame:visible").count() == 4
    assert page.evaluate("hako.deck.frames.size") == 4


def test_dividers_between_terminals_move_and_all_is_remembered(lesson: Open) -> None:
    """By mouse and by keys; after a reload the same terminals stand in the same places."""
    page = lesson()
    page.page.get_by_role("button", name="Split: another terminal to the right").click()
    divider = page.page.get_by_role("separator", name="Divider between terminals side by side")
    divider.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "52"
    box = divider.bounding_box()
    assert box
    page.page.mouse.move(box["x"] + 4, box["y"] + 40)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 104, box["y"] + 40)
    page.page.mouse.up()
    moved = divider.get_attribute("aria-valuenow")
    assert int(moved or 0) > 58
    page.page.reload()
    page.until("root@", "second")
    assert divider.get_attribute("aria-valuenow") == moved
    assert page.page.locator(".frame:visible").count() == 2
    divider.press("Enter")
    assert divider.get_attribute("aria-valuenow") == "50"


def test_a_terminal_that_is_asked_for_takes_the_place_of_the_one_in_use(lesson: Open) -> None:
    """A tab that is not shown replaces the active one; the other stays where it is."""
    page = lesson()
    page.page.get_by_role("button", name="Split: another terminal to the right").click()
    page.until("root@", "second")
    page.page.get_by_role("button", name="New terminal").click()
    page.until("root@", "third")
    assert page.evaluate("hako.deck.arrangement.names('')") == ["lab", "third"]
    page.page.click("#tab-lab")
    page.page.click("#tab-second")
    assert page.evaluate("hako.deck.arrangement.names('')") == ["second", "third"]
