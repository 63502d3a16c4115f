"""Lesson 04 from its first step to its last, by mouse: its views, its clearing up between steps, its fork bomb."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_whole_lesson import CHECKED_BEFORE, done, predict, type_block

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
Open = Callable[..., LessonPage]

# Blocks that end what a check looks for.
ENDS = {
    "join-4": ["moved"],
    "weight-3": ["four-to-one"],
    "pids-3": ["refused"],
    "freeze-3": ["frozen"],
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads goes on when the check is done."""
    for block, checks in ENDS.items():
        monkeypatch.setitem(CHECKED_BEFORE, block, checks)


@pytest.mark.usefixtures("patient")
def test_the_lesson_of_cgroups_by_mouse_in_japanese(lesson: Open) -> None:
    """Every prediction, block and check in one lab; each step begins without the groups of the one before."""
    page = lesson(lang="ja", slug="04-cgroups")
    steps = page.evaluate("hako.course.lesson.steps.map(step => step.id)")
    for step in steps:
        assert page.step.get_attribute("id") == f"step-{step}"
        wait_until(lambda: _groups(page) == [], lambda: f"no group is left of the step before: {_groups(page)}")
        predict(page)
        for block in page.step.locator("figure.command[data-mode=run]").all():
            type_block(page, block, block.locator("button.primary").click)
        done(page, step)
        page.step.locator("[data-move='1']").click()
    assert page.page.locator("#marks .done").count() == len(steps)
    assert page.page.locator("#view-tab-cgroups").get_attribute("aria-selected") == "true"


def _groups(page: LessonPage) -> list[str]:
    """The learner's groups, as the page's views see them."""
    seen = page.evaluate("hako.views.named('cgroups').seen.cgroups.map(group => group.path)")
    return [path for path in seen if path in ("/box", "/heavy", "/light")]
