"""Japanese and English: flat JSON catalogues, one language per URL prefix, no library.

A catalogue is `translations/<lang>.json` plus `translations/<part>.<lang>.json`, merged; keys are flat words with dots,
values may hold `{name}` places. Both languages must have the same keys and the same places (a test holds them equal).
Plural forms are avoided in the sentences, so no plural rules are needed. Lesson text is not here: it lives in lessons/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

LANGS = ("ja", "en")
DEFAULT = "en"
#: Remembers the last choice for visits to `/`; not secret, so scripts may read it.
COOKIE = "hako_lang"

_PLACE = re.compile(r"\{(\w+)\}")
_ACCEPT = re.compile(r"\s*([A-Za-z*]{1,8})(?:-[A-Za-z0-9-]{1,32})?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*$")


class Translations:
    """All sentences of the page, in every language."""

    def __init__(self, folder: Path) -> None:
        self._by_lang = {lang: _merged(folder, lang) for lang in LANGS}

    def has(self, lang: str, key: str) -> bool:
        """Whether a sentence exists."""
        return key in self._by_lang.get(lang, {})

    def t(self, lang: str, key: str, /, **params: object) -> str:
        """The sentence `key` in `lang`, its places filled; the key itself when there is none, so that it is seen."""
        return fill(self._by_lang.get(lang, {}).get(key, key), params)

    def starting(self, lang: str, prefix: str) -> dict[str, str]:
        """Sentences whose key starts with `prefix`, keyed without it: what the page's scripts are given."""
        return {key[len(prefix) :]: text for key, text in self._by_lang[lang].items() if key.startswith(prefix)}

    def keys(self, lang: str) -> dict[str, frozenset[str]]:
        """Key -> its places; two languages are equal when these are."""
        return {key: frozenset(_PLACE.findall(text)) for key, text in self._by_lang[lang].items()}


def fill(text: str, params: Mapping[str, object]) -> str:
    """Put values into `{places}`. Not str.format, which would let a value from the lab name attributes of ours."""
    return _PLACE.sub(lambda place: str(params.get(place[1], place[0])), text)


def _merged(folder: Path, lang: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for path in [folder / f"{lang}.json", *sorted(folder.glob(f"*.{lang}.json"))]:
        if not path.exists():
            continue
        for key, text in json.loads(path.read_text("utf-8")).items():
            if key in merged:
                raise ValueError(f"{path}: the key {key} stands in two files; keep one")
            merged[key] = str(text)
    return merged


def other(lang: str) -> str:
    """The language to switch to."""
    return "en" if lang == "ja" else "ja"


def choose(cookie: str | None, accept: str | None) -> str:
    """Language for somebody whose URL names none: the last choice, else what the browser asks for (RFC 9110 12.5.4)."""
    if cookie in LANGS:
        return str(cookie)
    return best(_ranges(accept or ""))


def best(ranges: Iterable[tuple[float, str]]) -> str:
    """First supported language in order of quality."""
    for quality, tag in sorted(ranges, key=lambda item: -item[0]):
        if quality > 0 and tag in LANGS:
            return tag
    return DEFAULT


def _ranges(header: str) -> list[tuple[float, str]]:
    found = []
    for part in header[:512].split(","):
        match = _ACCEPT.match(part)
        if match:
            found.append((float(match[2] or 1), match[1].lower()))
    return found
