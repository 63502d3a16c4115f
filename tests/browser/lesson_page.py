"""The lesson page as a person uses it: what a test may do and see, with the selectors in one place."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

from tests.browser.stack import wait_until

SLUG = "03-namespaces"


class LessonPage:
    """One open page; everything it complained of is kept in `complaints`."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, kind: str, text: str) -> None:
        # A connection that a test cuts on purpose is reported by the browser itself.
        if kind in ("error", "warning") and "WebSocket connection" not in text and "ERR_CONNECTION_REFUSED" not in text:
            self.complaints.append(text)

    def open(self, lang: str = "en", step: str = "", slug: str = SLUG) -> LessonPage:
        """Load the lesson, wait until its first terminal shows a prompt."""
        self.page.goto(f"{self.url}/{lang}/lessons/{slug}/{f'#step-{step}' if step else ''}")
        self.until("root@")
        return self

    # -- terminals

    def text(self, terminal: str = "lab") -> str:
        """All text of a terminal."""
        return str(self.page.evaluate("name => hako.deck.frames.get(name)?.terminal?.text() ?? ''", terminal))

    def until(self, text: str, terminal: str = "lab", deadline_s: float = 20.0) -> None:
        """Wait until the terminal shows a text."""
        wait_until(lambda: text in self.text(terminal), lambda: f"{text!r} in {self.text(terminal)!r}", deadline_s)

    def type(self, text: str, terminal: str = "lab") -> None:
        """Type as a person does: into what has the focus."""
        self.page.click(f"#tab-{terminal}")
        self.page.keyboard.type(text)

    # -- the step

    @property
    def step(self) -> Locator:
        """The step that is shown."""
        return self.page.locator("#lesson section.step:not([hidden])")

    def run(self, number: int) -> None:
        """Press the run button of a block of this step, counted from 1."""
        self.step.locator("figure.command[data-mode=run]").nth(number - 1).locator("button.primary").click()

    def state(self, check: str) -> str:
        """open, other, done or broken."""
        return str(self.page.get_attribute(f"[data-check={check}]", "data-state"))

    def online(self) -> bool:
        return bool(self.page.evaluate("hako.connection.online"))

    def evaluate(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)
