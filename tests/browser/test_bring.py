"""Bring me to this step: in the real lab, watched in the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]


def test_the_steps_before_are_done_by_the_kernels_word(lesson: Open) -> None:
    """Asked first; then one after the other in `show`; at the end the marks say done and the step is open."""
    page = lesson(step="mount")
    page.step.get_by_role("button", name="Bring me to this step").click()
    assert "1 to 3" in page.step.locator(".help-said").inner_text()
    assert violations(page.page) == []
    page.evaluate("""() => {
        window.told = [];
        const said = document.querySelector("#step-mount .help-said");
        new MutationObserver(() => told.push(said.textContent)).observe(said, {childList: true});
    }""")
    page.step.get_by_role("button", name="Do them for me").click()
    page.step.get_by_text("You are there").wait_for(timeout=90_000)
    assert page.page.locator("#marks .mark.done").count() == 3
    told = " ".join(page.evaluate("told"))
    assert all(f"Doing step {number} of 3 for you" in told for number in (1, 2, 3)), told
    assert page.step.get_attribute("id") == "step-mount"
    assert page.step.get_by_role("button", name="Bring me to this step").count() == 0
    wait_until(lambda: "ps -ef" in page.text("show"), "the last of them is there to be read")


def test_it_is_not_offered_where_nothing_is_to_be_done(lesson: Open) -> None:
    """Not in the first step; and who thinks better of it is back at the button."""
    page = lesson(step="pid")
    button = page.step.get_by_role("button", name="Bring me to this step")
    button.click()
    page.step.get_by_role("button", name="Cancel").click()
    assert page.evaluate("document.activeElement.textContent.trim()") == "Bring me to this step"
    page.page.keyboard.press("Alt+PageUp")
    assert page.step.get_by_role("button", name="Bring me to this step").count() == 0
