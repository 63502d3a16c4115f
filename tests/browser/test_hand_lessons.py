"""Lessons 01 and 06 by mouse from first step to last: a container found from outside, and one made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_whole_lesson import done, predict, type_block

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
Open = Callable[..., LessonPage]

#: Step -> the beginning of the block that ends what its checks look for.
ENDS = {
    "where": "kill -CONT",
    "end": "hako start",
    "root": "exit",
    "limits": "exit",
    "keys": "exit",
    "whole": "kill -9",
}
#: What a learner fills in, by the beginning of the block.
FILLED = {"kill -STOP": "kill -STOP $(pgrep -x sleep)"}


@pytest.mark.parametrize(("slug", "lang"), [("01-not-a-machine", "ja"), ("06-by-hand", "en")])
def test_the_lesson_by_mouse(lesson: Open, slug: str, lang: str) -> None:
    """Every prediction, block, check and question of the quiz, in one lab."""
    page = lesson(slug=slug, lang=lang)
    steps = page.evaluate("hako.course.lesson.steps.map(step => step.id)")
    for step in steps:
        assert page.step.get_attribute("id") == f"step-{step}"
        predict(page)
        for block in page.step.locator("figure.command:not([data-mode=copy])").all():
            if not block.is_visible():
                continue  # for another version of cgroups
            code = block.locator("code")
            for words, text in FILLED.items():
                if code.inner_text().startswith(words) and block.get_attribute("data-mode") == "edit":
                    code.fill(text)
            if code.inner_text().startswith(ENDS.get(step, "\0")):
                _all_done(page)
            type_block(page, block, block.locator("button.primary").click)
        done(page, step)
        page.step.locator("[data-move='1']").click()
    predict(page, "[data-quiz] form.predict", last=True)
    assert page.page.locator("#marks .done").count() == len(steps)


def _all_done(page: LessonPage) -> None:
    """Who reads goes on when the checks are done."""
    open_ = page.step.locator("[data-check]:not([data-state=done])")
    wait_until(lambda: open_.count() == 0, lambda: f"done: {page.step.locator('.checks').inner_text()!r}")
