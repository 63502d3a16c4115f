"""What a check saw and what to try, in the learner's language: turns a predicate's result into two sentences.

A result is a stable code and its parameters (`engine/predicates/`); the sentences stand in
`translations/checks.<lang>.json` under `check.<code>.saw` and `check.<code>.try`, or in the lesson itself, whose advice
wins. Sentences may hold `code` in backticks; everything else is escaped, because parameters come from inside the lab: a
learner chooses the host name that is shown here. The result is HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from web.i18n import Translations

_CODE = re.compile(r"`([^`]+)`")
_LONG = 80


def saw(words: Translations, lang: str, code: str, params: Mapping[str, Any]) -> str:
    """What was seen instead of what was asked for, as HTML; the bare code where no sentence is known."""
    key = f"check.{code}.saw"
    if not words.has(lang, key):
        return str(escape(code))
    return html(words.t(lang, key, **shown(params)))


def advice(
    words: Translations, lang: str, code: str, params: Mapping[str, Any], own: Mapping[str, str] | None = None
) -> str:
    """What to try next, as HTML; empty where nobody has advice.

    Args:
        own: the lesson's advice for this language, by code: HTML already, and better than ours because it knows the
        step.
    """
    if own and code in own:
        return own[code]
    key = f"check.{code}.try"
    return html(words.t(lang, key, **shown(params))) if words.has(lang, key) else ""


def html(sentence: str) -> str:
    """Escape a sentence and set what stands in backticks as code."""
    return str(Markup(_CODE.sub(r"<code>\1</code>", str(escape(sentence)))))


def shown(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as they are put into a sentence: short, one line, without backticks of their own."""
    return {name: _short(value) for name, value in params.items()}


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) or "–" if isinstance(value, list | tuple) else str(value)
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    text = text.replace("`", "'")
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
