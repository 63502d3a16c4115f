"""Are a check's predicates ones the engine has, with arguments it takes? For the lint; the engine itself asks again.

`web` knows the engine by its socket only, so this reads what the engine says of them in docs/predicates.schema.json and
understands as much of JSON Schema as is written there (`engine/predicates/json_schema.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from web.bounded import nearest

Place = tuple[str | int, ...]
Mistake = tuple[Place, str]
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def known(source: Path) -> dict[str, Any]:
    """The schema of a predicate.

    Args:
        source: the checkout.

    Raises:
        ValueError: the file is not there, or is not what it was when this was written.
    """
    path = source / "docs" / "predicates.schema.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found["properties"]["any_of"], dict) and isinstance(found["$defs"], dict):
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} has no schema of the predicates; make it with python -m engine.predicates.reference")


def mistakes(predicates: Any, schema: Mapping[str, Any]) -> Iterator[Mistake]:
    """What is wrong with a list of predicates: where in it, and a sentence. `any_of` is looked into."""
    for index, predicate in enumerate(predicates):
        for name, given in predicate.items() if isinstance(predicate, dict) else ():
            place: Place = (index, name)
            if name not in schema["properties"]:
                words = list(schema["properties"])
                expected = nearest(name, words) or f"; expected one of {', '.join(words)}"
                yield place, f'no predicate "{name}"{expected}'
            elif name == "any_of":
                inner = given if isinstance(given, list) else []
                yield from ((place + where, said) for where, said in mistakes(inner, schema))
            else:
                yield from ((place + where, f"{name}: {said}") for where, said in _arguments(name, given, schema))


def _arguments(name: str, given: Any, schema: Mapping[str, Any]) -> Iterator[Mistake]:
    takes = schema["$defs"][name]
    if not isinstance(given, dict):
        yield (), f"{given!r:.60}; expected a map of arguments"
        return
    words = list(takes["properties"])
    for word, value in given.items():
        if word not in words:
            yield (word,), f'no argument "{word}"; expected one of {", ".join(words) or "none"}{nearest(word, words)}'
            continue
        one = takes["properties"][word]
        if one.get("$ref", "").startswith("#/$defs/"):
            inner = _arguments(one["$ref"].rpartition("/")[2], value, schema)
            yield from (((word, *where), f"{word}: {said}") for where, said in inner)
        elif not _fits(value, one):
            yield (word,), f"{word} is {value!r:.60}; expected {one['description']}"
    if set(given) - set(words):
        return  # a misspelt argument is missing as well: said once
    for word in takes.get("required", ()):
        if word not in given:
            yield (), f'the argument "{word}" is missing; expected it here'
    if len(given) < takes.get("minProperties", 0):
        yield (), f"has no argument; expected one of {', '.join(words)}"


def _fits(value: Any, takes: Mapping[str, Any]) -> bool:
    """Whether a value is what a schema of one argument takes."""
    if "anyOf" in takes:
        return any(_fits(value, one) for one in takes["anyOf"])
    if "enum" in takes:
        return value in takes["enum"]
    kind = _TYPES.get(takes.get("type", ""))
    if kind is None:
        return True
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return False
    if isinstance(value, list):
        return len(value) >= takes.get("minItems", 0) and all(_fits(one, takes.get("items", {})) for one in value)
    if isinstance(value, str):
        return len(value) >= takes.get("minLength", 0) and re.search(takes.get("pattern", ""), value) is not None
    return True
