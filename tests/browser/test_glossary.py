"""The words of the text: pressed, read, closed, by mouse and by keys, in both languages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import Stack
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_word_says_what_it_is_when_it_is_pressed(lesson: Open, scheme: str) -> None:
    """By mouse: open, and pressed again closed. The card lies within the window."""
    page = lesson(color_scheme=scheme)
    word = page.step.locator(".term[data-term=namespace]")
    word.click()
    card = page.page.get_by_role("dialog", name="namespace")
    assert "名前空間" in card.inner_text()
    assert "view of their own" in card.inner_text()
    assert word.get_attribute("aria-expanded") == "true"
    box = card.bounding_box()
    assert box and box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= 1440
    assert violations(page.page) == []
    word.click()
    card.wait_for(state="hidden")
    assert word.get_attribute("aria-expanded") == "false"


def test_by_keys_alone(lesson: Open) -> None:
    """Enter opens it and it has the focus; Esc closes it and the focus is on the word again."""
    page = lesson()
    word = page.step.locator(".term").first
    word.focus()
    page.page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "term-card"
    page.page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "All words"
    page.page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "term"


def test_the_card_speaks_the_other_language_after_the_switch(lesson: Open) -> None:
    """The words come with the page of the other language."""
    page = lesson()
    page.page.click("#switch-language")
    page.step.locator(".term[data-term=namespace]").click()
    card = page.page.get_by_role("dialog", name="名前空間")
    assert "カーネルの仕組み" in card.inner_text()


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_all_words_stand_on_a_page(stack: Stack, chromium: Browser, lang: str) -> None:
    """Each with the other language's; a card leads to its own."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{stack.url}/{lang}/glossary/#term-whiteout")
    assert page.locator(".glossary-entry").count() >= 60
    assert page.locator("#term-whiteout dt").inner_text().split() == (
        ["ホワイトアウト", "whiteout"] if lang == "ja" else ["whiteout", "ホワイトアウト"]
    )
    assert violations(page) == []
    context.close()
