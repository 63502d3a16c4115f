"""Lesson 05 from its first step to its last, by mouse: the live CD, ten containers, AUFS, and the view of layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import wait_until
from tests.browser.test_whole_lesson import CHECKED_BEFORE, done, predict, prompts, settled, type_block

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
Open = Callable[..., LessonPage]

# Blocks that end what a check looks for.
ENDS = {
    "live-5": ["live", "written"],
    "ten-5": ["shared", "own-copy"],
    "aufs-5": ["marks", "branches"],
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads goes on when the check is done."""
    for block, checks in ENDS.items():
        monkeypatch.setitem(CHECKED_BEFORE, block, checks)


@pytest.mark.usefixtures("patient")
def test_the_lesson_of_unions_by_mouse_in_english(lesson: Open) -> None:
    """Every prediction, block and check in one lab; the live CD is on again for each step that needs it."""
    page = lesson(slug="05-union-filesystem")
    steps = page.evaluate("hako.course.lesson.steps.map(step => step.id)")
    for step in steps:
        assert page.step.get_attribute("id") == f"step-{step}"
        predict(page, last=True)
        if step in ("copy-up", "whiteout"):
            wait_until(lambda: "/live" in _unions(page), lambda: f"the live CD is on: {_unions(page)}")
        for block in page.step.locator("figure.command[data-mode=run]").all():
            type_block(page, block, block.locator("button.primary").click)
        done(page, step)
        page.step.locator("[data-move='1']").click()
    assert page.page.locator("#marks .done").count() == len(steps)
    assert page.page.locator("#view-tab-layers").get_attribute("aria-selected") == "true"


def test_two_blocks_pressed_at_once_come_one_after_the_other(lesson: Open) -> None:
    """Impatience mixes no lines: the second block is typed when the first one is."""
    page = lesson(slug="05-union-filesystem", step="layers")
    first, second = page.step.locator("figure.command[data-mode=run]").all()[:2]
    before = prompts(page, "lab")
    first.locator("button.primary").click()
    second.locator("button.primary").click()
    lines = [line for block in (first, second) for line in block.locator("code").inner_text().strip().split("\n")]
    settled(page, "lab", before, len(lines))
    shown = page.text("lab").replace("\n", "")
    places = [shown.find(f"# {line}") for line in lines]
    assert -1 not in places, shown
    assert places == sorted(places)


def _unions(page: LessonPage) -> list[str]:
    """Where unions are mounted, as the page's views see it."""
    return [str(one["target"]) for one in page.evaluate("hako.views.named('layers').seen.layers.unions")]
