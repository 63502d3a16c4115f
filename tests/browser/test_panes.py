"""How a person arranges the page: one pane as large as the page, the size of the letters, the list of keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]


def shown(page: LessonPage) -> list[str]:
    """The panes that can be seen."""
    return [name for name in ("text", "terminals", "views") if page.page.locator(f"#{name}").is_visible()]


@pytest.mark.parametrize("width", [1024, 1440])
def test_each_pane_is_as_large_as_the_page_by_one_key_and_back(lesson: Open, width: int) -> None:
    """Alt 1, 2, 3, from the text and out of a terminal; the terminal itself gets nothing of it."""
    page = lesson(width=width)
    before = page.text()
    page.page.click("#tab-lab")
    for key, pane in (("1", "text"), ("2", "terminals"), ("3", "views"), ("2", "terminals")):
        page.page.keyboard.press(f"Alt+{key}")
        assert shown(page) == [pane]
        box = page.page.locator(f"#{pane}").bounding_box()
        assert box and box["width"] == width
        assert page.evaluate("pane => !!document.activeElement.closest('#' + pane)", pane)
        assert violations(page.page) == []
    page.page.keyboard.press("Alt+2")
    assert page.evaluate("hako.panes.isFull") == ""
    assert shown(page)[:2] == ["text", "terminals"]
    assert page.text() == before


def test_the_way_out_of_a_full_terminal_is_the_same(lesson: Open) -> None:
    """Ctrl Shift Esc leads to the text, so the text is there again; the button says what it would do next."""
    page = lesson()
    page.page.get_by_role("button", name="Terminals as large as the page").click()
    assert shown(page) == ["terminals"]
    assert page.page.get_by_role("button", name="All three panes again").count() == 1
    page.page.click("#tab-lab")
    page.page.keyboard.press("Control+Shift+Escape")
    assert shown(page) == ["text", "terminals", "views"]
    assert page.evaluate("document.activeElement.tagName") == "H2"


def test_letters_grow_where_the_keys_go_and_a_projector_has_its_own(lesson: Open) -> None:
    """Alt + and Alt -, live, remembered; the projector's sizes are not the desk's."""
    page = lesson()
    size = "hako.deck.frames.get('lab').terminal.term.options.fontSize"
    text = "getComputedStyle(document.documentElement).getPropertyValue('--text-size').trim()"
    assert [page.evaluate(size), page.evaluate(text)] == [15, "17px"]
    page.page.keyboard.press("Alt+=")
    assert [page.evaluate(size), page.evaluate(text)] == [15, "18px"]
    page.page.click("#tab-lab")
    page.page.keyboard.press("Alt+-")
    assert [page.evaluate(size), page.evaluate(text)] == [14, "18px"]
    page.page.get_by_role("button", name="Look and sizes").click()
    page.page.get_by_label("projector").check()
    assert [page.evaluate(size), page.evaluate(text)] == [28, "24px"]
    slider = page.page.get_by_label("Letters in the terminal")
    assert slider.input_value() == "28"
    page.page.keyboard.press("Escape")
    page.page.get_by_role("button", name="Larger letters").click()
    assert [page.evaluate(size), slider.input_value()] == [29, "29"]
    page.page.reload()
    page.until("root@")
    wait_until(lambda: page.evaluate(size) == 29, "remembered")
    assert violations(page.page) == []
    page.evaluate("document.querySelector('#settings input[value=auto]').click()")
    assert [page.evaluate(size), page.evaluate(text)] == [14, "18px"]


def test_the_list_of_keys_names_them_and_closes_by_escape(lesson: Open) -> None:
    """By its button and by Ctrl /; the focus goes back to where it was."""
    page = lesson(lang="ja")
    page.page.click("#open-keys")
    dialog = page.page.locator("#keys")
    assert [dialog.locator("h3").count(), dialog.locator("kbd", has_text="Alt").count() >= 5] == [3, True]
    assert violations(page.page) == []
    page.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.id") == "open-keys"
    page.page.keyboard.press("Control+/")
    assert dialog.is_visible()
