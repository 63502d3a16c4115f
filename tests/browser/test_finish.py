"""The end of a lesson: said at the moment, and what was learnt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.lesson_page import LessonPage
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]
#: What the server says when the kernel has agreed with a step (tests/browser/test_whole_lesson.py does it for real).
DONE = "ids => ids.forEach(step => hako.course.finished({step}))"


def _ids(page: LessonPage) -> list[str]:
    found: list[str] = page.evaluate("hako.course.lesson.steps.map(step => step.id)")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_last_step_says_that_it_was_the_last_and_what_is_known_now(lesson: Open, scheme: str) -> None:
    """Where the person is, once; then every step's lesson in one list, and no step left."""
    page = lesson(color_scheme=scheme)
    *most, last = _ids(page)
    page.evaluate(f"hako.course.go('{last}')")
    page.evaluate(DONE, most)
    assert page.step.locator(".finished").count() == 0
    page.evaluate(DONE, [last])
    page.evaluate(DONE, [last])
    assert page.step.locator(".finished").count() == 1
    assert "all 8 steps" in page.step.locator(".finished [role=status]").inner_text()
    assert violations(page.page) == []
    page.step.get_by_role("button", name="See what you know now").click()
    assert page.step.get_attribute("id") == "outro"
    assert page.step.locator(".finish-can li").count() == 8
    assert "Only the name was separated" in page.step.locator(".finish-can").inner_text()
    assert violations(page.page) == []
    page.page.click("#switch-language")
    page.page.get_by_text("手を動かして分かったこと").wait_for()
    assert page.step.locator(".finish-can li").count() == 8


def test_the_end_read_early_says_what_is_left(lesson: Open) -> None:
    """With a link to each step that is not done; a reader may go on reading."""
    page = lesson()
    first = _ids(page)[0]
    page.evaluate(DONE, [first])
    page.evaluate("hako.course.go('outro')")
    links = page.step.locator(".finish-left a")
    assert links.count() == 7
    links.first.click()
    assert page.step.get_attribute("id") == f"step-{_ids(page)[1]}"


def test_predictions_are_counted_as_they_were_made(lesson: Open) -> None:
    """One right, one wrong; hints and "show me" are told, too."""
    page = lesson()
    page.evaluate(
        """() => {
            const {steps} = hako.course.lesson;
            const wrong = {a: "b", b: "a", c: "a"};
            const [one, two] = steps;
            const [first, second] = [one.predictions[0], two.predictions[0]];
            hako.course.note(one.id, "predicted", {[first.id]: first.right[0]});
            hako.course.note(two.id, "predicted", {[second.id]: wrong[second.right[0]]});
            hako.course.note(two.id, "hint", 2);
            steps.forEach(({id}) => hako.course.finished({step: id}));
            hako.course.go("outro");
        }"""
    )
    assert page.step.locator(".finish-facts").inner_text() == (
        "1 of 2 predictions came true · hints opened: 2, steps shown: 0"
    )
