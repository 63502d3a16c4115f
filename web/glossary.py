"""`lessons/glossary.yaml`: one word for one thing, in both languages, each with a sentence that says what it is.

The page shows the sentence when a learner asks for it. A text marks a word as `:term[shown text|id]`, and the words of
the glossary are marked by themselves where they first stand: the basic ones (`basic: true`) once in a lesson, the
others once in a step, so that a text is no carpet of marks. A word inside a longer one ("host" in "hostname", 階層 in
階層化) is no word. Errors are `LessonError`s with file and line, as for lessons. This module renders nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from web import bounded
from web.lesson_model import LANGS, LessonError

NAME = "glossary.yaml"
SAYS_MOST = 220
"""Longer is a text, not a pop-up."""

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Entry:
    """One thing: its word and what it is, by language; `others` are forms of the word that a text may use."""

    id: str
    word: Mapping[str, str]
    says: Mapping[str, str]
    others: Mapping[str, tuple[str, ...]]
    basic: bool

    def forms(self, lang: str) -> tuple[str, ...]:
        return (self.word[lang], *self.others[lang])


@dataclass(frozen=True)
class Glossary:
    """All entries, in the order of the file."""

    entries: tuple[Entry, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Entry]:
        return {entry.id: entry for entry in self.entries}

    @cached_property
    def patterns(self) -> dict[str, tuple[re.Pattern[str], dict[str, Entry]]]:
        """For each language: any form of any word, the longest first, and whose form it is."""
        found = {}
        for lang in LANGS:
            whose = {form.casefold(): entry for entry in self.entries for form in entry.forms(lang)}
            words = "|".join(re.escape(word) for word in sorted(whose, key=len, reverse=True))
            plural = "(?:e?s)?" if lang == "en" else ""
            found[lang] = (re.compile(f"({words or '(?!)'}){plural}", re.IGNORECASE), whose)
        return found

    def page(self, lang: str) -> dict[str, dict[str, str]]:
        """For the page's script: id -> word, the other language's word, sentence."""
        other = next(one for one in LANGS if one != lang)
        return {
            entry.id: {"word": entry.word[lang], "other": entry.word[other], "says": entry.says[lang]}
            for entry in self.entries
        }


@dataclass
class Terms:
    """The words of one language as a text is read: which have been marked already."""

    glossary: Glossary
    lang: str
    in_lesson: set[str] = field(default_factory=set)
    in_step: set[str] = field(default_factory=set)

    def step(self) -> Terms:
        """The same for the next step."""
        return Terms(self.glossary, self.lang, self.in_lesson)

    def pieces(self, text: str) -> Iterator[tuple[str, str]]:
        """The text in pieces: (text, id of the word it is, or "")."""
        pattern, whose = self.glossary.patterns[self.lang]
        start = 0
        for match in pattern.finditer(text):
            entry = whose[match[1].casefold()]
            if not _stands_alone(text, match.start(), match.end()) or not self.first(entry):
                continue
            if match.start() > start:
                yield text[start : match.start()], ""
            yield match[0], entry.id
            start = match.end()
        if start < len(text):
            yield text[start:], ""

    def first(self, entry: Entry) -> bool:
        """Whether the word was not marked before, where that counts; from now on it was."""
        seen = self.in_lesson if entry.basic else self.in_step
        if entry.id in seen:
            return False
        seen.add(entry.id)
        return True


def load(folder: Path) -> Glossary:
    """The glossary of a folder of lessons; an empty one where there is no file.

    Raises:
        LessonError: at the first mistake, with its line.
    """
    path = folder / NAME
    if not path.exists():
        return Glossary()
    data, node = bounded.yaml_document(bounded.text(path, NAME), NAME)
    if not isinstance(data, list):
        raise LessonError(NAME, 1, "expected a list of words: - id: …")
    entries: list[Entry] = []
    for index, raw in enumerate(data):
        line = bounded.line_of(node, [index])
        entry = _entry(raw, line)
        for one in entries:
            if one.id == entry.id:
                raise LessonError(NAME, line, f'has the id "{entry.id}" twice; expected one word for one thing')
            for lang in LANGS:
                twice = {form.casefold() for form in one.forms(lang)} & {form.casefold() for form in entry.forms(lang)}
                if twice:
                    raise LessonError(NAME, line, f'"{twice.pop()}" is "{one.id}" already; expected another word')
        entries.append(entry)
    return Glossary(tuple(entries))


def _entry(raw: Any, line: int) -> Entry:
    keys = ("id", "basic", *LANGS)
    if not isinstance(raw, dict) or set(raw) - set(keys) or not _ID.fullmatch(str(raw.get("id", ""))):
        raise LessonError(NAME, line, f"expected the keys id (as copy-up), {', '.join(LANGS)} and perhaps basic")
    if not isinstance(raw.get("basic", False), bool):
        raise LessonError(NAME, line, "basic: expected true or false")
    parts = {lang: _part(raw.get(lang), lang, line) for lang in LANGS}
    return Entry(
        id=str(raw["id"]),
        word={lang: part[0] for lang, part in parts.items()},
        says={lang: part[1] for lang, part in parts.items()},
        others={lang: part[2] for lang, part in parts.items()},
        basic=bool(raw.get("basic", False)),
    )


def _part(raw: Any, lang: str, line: int) -> tuple[str, str, tuple[str, ...]]:
    if not isinstance(raw, dict) or set(raw) - {"word", "says", "others"}:
        raise LessonError(NAME, line, f"{lang}: expected word, says and perhaps others")
    word, says, others = raw.get("word"), raw.get("says"), raw.get("others", [])
    if not isinstance(word, str) or not word.strip() or not isinstance(says, str) or not says.strip():
        raise LessonError(NAME, line, f"{lang}: expected a word and what it says")
    if len(says) > SAYS_MOST:
        raise LessonError(NAME, line, f"{lang}: says {len(says)} characters; expected at most {SAYS_MOST}")
    if not isinstance(others, list) or not all(isinstance(one, str) and one.strip() for one in others):
        raise LessonError(NAME, line, f"{lang}: others: expected a list of forms of the word")
    return word.strip(), says.strip(), tuple(one.strip() for one in others)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the letters around are not of the same kind as those at the edges: then they would be one word."""
    before = start == 0 or not _same_kind(text[start - 1], text[start])
    dotted = text[end : end + 1] == "." and not text[end + 1 : end + 2].isalnum()  # a sentence ends; in a.b none does
    after = end == len(text) or dotted or not _same_kind(text[end - 1], text[end])
    return before and after


def _same_kind(one: str, other: str) -> bool:
    kind = _kind(one)
    return kind != "" and kind == _kind(other)


def _kind(character: str) -> str:
    if character.isascii():
        return "latin" if character.isalnum() or character in "-_/." else ""
    name = unicodedata.name(character, "")
    return next((kind for kind in ("KATAKANA", "CJK UNIFIED") if name.startswith(kind)), "")
