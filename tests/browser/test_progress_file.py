"""Progress saved as a file and read again, as a person does it on the contents page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.lesson_page import LessonPage
from tests.browser.stack import Stack, wait_until
from tests.browser.test_page import violations

pytestmark = [pytest.mark.browser, pytest.mark.root]
Open = Callable[..., LessonPage]


def test_saved_forgotten_and_read_again(stack: Stack, chromium: Browser, lesson: Open, tmp_path: Path) -> None:
    """Real progress out of a real lab; after reading it the contents say so again."""
    page = lesson()
    page.step.get_by_role("button", name="Show me").click()
    wait_until(lambda: page.state("own-name") == "done", "the kernel agrees")
    page.page.goto(f"{stack.url}/en/")
    with page.page.expect_download() as download:
        page.page.get_by_role("link", name="Save as a file").click()
    file = tmp_path / "progress.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["lessons"]["namespaces"]["steps"]["uts"]["done"] is True
    stack.forget_progress()
    page.page.reload()
    assert page.page.get_by_text("1 of 8 steps").count() == 0
    page.page.set_input_files("#progress-file", file)
    page.page.get_by_text("steps newly done: 1").wait_for()
    assert page.page.get_by_text("1 of 8 steps").count() == 1
    assert violations(page.page) == []


def test_another_file_is_refused_in_words(stack: Stack, lesson: Open, tmp_path: Path) -> None:
    """Nothing is changed, and the page says what to choose."""
    page = lesson(lang="ja")
    page.page.goto(f"{stack.url}/ja/")
    page.complaints.clear()
    for text in ("not json", "[1]", '{"hako": "else"}'):
        (tmp_path / "x.json").write_text(text)
        page.page.evaluate("document.getElementById('progress-said').textContent = ''")
        page.page.set_input_files("#progress-file", tmp_path / "x.json")
        page.page.get_by_text("進み具合ではありません").wait_for()
    # The browser itself reports an answer of 400.
    page.complaints[:] = [one for one in page.complaints if "400" not in one]
