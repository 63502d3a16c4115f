"""The arguments of predicates: which there are, of what form, and what to say when one is wrong.

A lesson is written by hand, so each mistake is answered with the predicate, the argument and the nearest right word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput
from engine.linux.capabilities import mask
from engine.linux.procfs import KINDS

#: Gives the value in the form the predicate works with, or raises ValueError with "what it should be".
Check = Callable[[Any], Any]

_MAP_LINE = re.compile(r"\s*(\d+|\*)\s+(\d+|\*)\s+(\d+|\*)\s*")

#: Lines of a map: (inside, outside, count), None for `*`.
Pattern = tuple[tuple[int | None, int | None, int | None], ...]


@dataclass(frozen=True)
class Argument:
    """One argument: its form, and whether it must be given."""

    check: Check
    required: bool = False


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError("an absolute path")
    return value


def number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def kind(value: Any) -> str:
    if value not in KINDS:
        raise ValueError(f"one of {', '.join(KINDS)}")
    return str(value)


def kinds(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not set(listed) <= set(KINDS):
        raise ValueError(f"a list of kinds: {', '.join(KINDS)}")
    return tuple(listed)


def one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return check


def id_map(value: Any) -> Pattern:
    """`"0 * 1"` or a list of such lines; `*` is any number."""
    lines = [value] if isinstance(value, str) else value
    matches = [_MAP_LINE.fullmatch(line) if isinstance(line, str) else None for line in lines or [None]]
    found = [match.groups() for match in matches if match is not None]
    if not isinstance(lines, list) or len(found) != len(matches):
        raise ValueError('lines of three numbers, such as "0 * 1"')
    return tuple(
        (_any_or(inside), _any_or(outside), _any_or(count))  # * stays open
        for inside, outside, count in found
    )


def _any_or(word: str) -> int | None:
    return None if word == "*" else int(word)


def capabilities(value: Any) -> int:
    """Names as in capabilities(7), without CAP_, as the set they are; none is written []."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of capabilities")
    try:
        return mask(value)
    except BadInput as error:
        raise ValueError("a list of capabilities") from error


def anything(value: Any) -> Any:
    return value


def checked(name: str, given: Any, schema: Mapping[str, Argument]) -> dict[str, Any]:
    """The arguments of predicate `name` in working form.

    Raises:
        BadInput: not a map, an unknown or missing argument, or a value of another form.
    """
    if not isinstance(given, dict):
        raise BadInput(f"{name} takes a map of arguments, not {given!r}.", f"Write {name}: {{{', '.join(schema)}}}.")
    for word in given:
        if word not in schema:
            raise BadInput(f"{name} has no argument {word!r}.", nearest(word, schema))
    values = {}
    for word, argument in schema.items():
        if word in given:
            try:
                values[word] = argument.check(given[word])
            except ValueError as error:
                raise BadInput(f"{name}: {word} is {given[word]!r}.", f"It should be {error}.") from error
        elif argument.required:
            raise BadInput(f"{name} needs the argument {word!r}.", "")
    return values


def nearest(word: object, words: Iterable[str]) -> str:
    """A hint with the word that was perhaps meant, or with all there are."""
    there = sorted(words)
    close = difflib.get_close_matches(str(word), there, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(there) or 'none'}."
