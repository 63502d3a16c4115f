"""Errors as people read them: a sentence and what to do next, in the language of the page, never a trace.

What the engine raises carries a `kind` and an English message. The kind chooses the sentence (`error.<kind>` and
`error.<kind>.hint` in the catalogues); the message goes along as `detail`, for those who want to know and for reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.client import Disconnected
from engine.errors import EngineError
from web.i18n import Translations
from web.sockets.connections import Page, monotonic

#: kind -> HTTP status.
STATUS = {
    "bad_input": 400,
    "not_found": 404,
    "conflict": 409,
    "exhausted": 503,
    "unsupported": 501,
    "away": 503,
    "failed": 502,
    "error": 502,
}


class BadMessage(Exception):
    """A page sent something it should not have. `code` names the sentence `trouble.<code>`."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


@dataclass(frozen=True)
class Told:
    """An error in words."""

    kind: str
    message: str
    hint: str
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """The shape every error has, over HTTP and in acknowledgements."""
        return {"error": {"kind": self.kind, "message": self.message, "hint": self.hint, "detail": self.detail}}


class Trouble:
    """Finds the words."""

    def __init__(self, words: Translations) -> None:
        self._words = words

    def of_engine(self, lang: str, error: EngineError) -> Told:
        """Words for what the engine raised."""
        kind = "away" if isinstance(error, Disconnected) else error.kind
        key = f"error.{kind}" if self._words.has(lang, f"error.{kind}") else "error.error"
        return Told(kind, self._words.t(lang, key), self._words.t(lang, f"{key}.hint"), str(error))

    def of_code(self, lang: str, code: str, detail: str = "", **params: Any) -> Told:
        """Words for a fault of ours or the page's: `trouble.<code>`."""
        message = self._words.t(lang, f"trouble.{code}", **params)
        return Told(code, message, self._words.t(lang, f"trouble.{code}.hint", **params), detail)

    def tell(self, page: Page, code: str, detail: str = "", terminal: str = "", **params: Any) -> None:
        """Show a sentence in the page; the same one not more often than every two seconds."""
        if not page.warn_due(code, monotonic()):
            return
        told = self.of_code(page.lang, code, detail, **params)
        body: dict[str, Any] = {"code": code, "message": told.message, "hint": told.hint, "detail": detail}
        if terminal:
            body["terminal"] = terminal
        page.send("trouble", body)
