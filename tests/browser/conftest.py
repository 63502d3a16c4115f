"""Debian's Chromium in front of the whole of Hako: one stack a session, a new context and no progress a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.lesson_page import SLUG, LessonPage
from tests.browser.stack import Stack
from tests.conftest import _new_instance

CHROMIUM = "/usr/bin/chromium"
# Root has no user namespace sandbox for Chromium here; it only ever shows our own page on 127.0.0.1.
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
AXE = Path(__file__).resolve().parents[2] / "static/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Supervisor, zygote, engine, web."""
    with Stack(_new_instance()) as running:
        yield running


# Not for the session: until Playwright is stopped an asyncio loop runs in this thread, and nobody else gets one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def lesson(stack: Stack, chromium: Browser) -> Iterator[Callable[..., LessonPage]]:
    """Makes a lesson page in a browser of its own: `lesson(lang="ja", width=1024)`. At the end no page complained."""
    opened: list[LessonPage] = []
    contexts = []

    def make(
        lang: str = "en", step: str = "", width: int = 1440, height: int = 900, slug: str = SLUG, **options: Any
    ) -> LessonPage:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = LessonPage(context.new_page(), stack.url)
        opened.append(page)
        return page.open(lang, step, slug)

    stack.forget_progress()
    _fresh_lab(stack, chromium)
    yield make
    complaints = [complaint for page in opened for complaint in page.complaints]
    for context in contexts:
        context.close()
    assert not complaints, complaints


def _fresh_lab(stack: Stack, chromium: Browser) -> None:
    """Ends the lab of the test before."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{stack.url}/en/")
    page.evaluate(
        """async () => {
            const boot = JSON.parse(document.getElementById("boot").textContent);
            const {labs} = await (await fetch(`${boot.prefix}/api/labs`)).json();
            const headers = {"Content-Type": "application/json", "X-CSRF-Token": boot.csrf};
            for (const lab of labs)
                await fetch(`${boot.prefix}/api/labs/${lab.id}/remove`, {method: "POST", headers, body: "{}"});
        }"""
    )
    context.close()
