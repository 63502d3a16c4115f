"""The predicates as JSON Schema, so that an editor knows them: docs/predicates.schema.json.

`reference.py` writes the file together with the reference in docs/lessons.md. docs/lesson.schema.json, which `web`
makes of the keys of lesson.yaml, refers to it: `engine` knows nothing of lessons, and `web` nothing of predicates.

What a schema cannot say (which of several arguments must be given, what a hostname is) stays with
`registry.checked`; so the schema takes whatever the engine takes, and a little more.

Source: JSON Schema 2020-12, core and validation, https://json-schema.org/specification
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.linux.procfs import KINDS
from engine.predicates import reference, registry
from engine.predicates.arguments import Argument

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1}

#: What a check of an argument refuses with -> what it takes. A form that is not here takes anything.
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "a text": {"type": "string", "minLength": 1},
    "an absolute path": {"type": "string", "pattern": "^/"},
    "a whole number": {"type": "integer"},
    "true or false": {"type": "boolean"},
    "a list of words": _TEXTS,
    "a list of capabilities": {"type": "array", "items": {"type": "string"}},
    'lines of three numbers, such as "0 * 1"': {"anyOf": [{"type": "string"}, _TEXTS]},
    f"a list of kinds: {', '.join(KINDS)}": {
        "anyOf": [{"enum": list(KINDS)}, {"type": "array", "items": {"enum": list(KINDS)}, "minItems": 1}]
    },
}
_CONDITIONS = "conditions as in `process_in_ns`"


def argument(given: Argument) -> dict[str, Any]:
    """The schema of one argument, made of the words its check refuses with."""
    form = reference.form(given)
    if form == _CONDITIONS:
        return {"$ref": "#/$defs/process_in_ns"}
    choice = re.fullmatch(r"one of (.+)", form)
    takes = {"enum": choice[1].split(", ")} if choice else _FORMS.get(form, {})
    return {"description": form, **takes}


def arguments(name: str) -> dict[str, Any]:
    """The schema of a predicate's arguments."""
    predicate = registry.PREDICATES[name]
    made: dict[str, Any] = {
        "description": _meaning(name),
        "type": "object",
        "properties": {word: argument(one) for word, one in predicate.schema.items()},
        "additionalProperties": False,
    }
    needed = [word for word, one in predicate.schema.items() if one.required]
    if needed:
        made["required"] = needed
    if predicate.some_of:
        made["minProperties"] = 1
    return made


def schema() -> dict[str, Any]:
    """One predicate: a map with one key, which is the name of one of them."""
    names = list(registry.PREDICATES)
    inner = {"type": "array", "items": {"$ref": "#"}, "minItems": 1}
    return {
        "$schema": DIALECT,
        "title": "A predicate of a check",
        "description": f"One word and its arguments. Made by {reference.COMMAND}",
        "type": "object",
        "properties": {
            **{name: {"$ref": f"#/$defs/{name}"} for name in names},
            "any_of": {"description": _meaning("any_of"), **inner},
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "$defs": {name: arguments(name) for name in names},
    }


def text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _meaning(name: str) -> str:
    """What stands in its docstring before the example, as one line."""
    return re.sub(r"\s+", " ", reference.docstring(name).partition("Example:\n")[0]).strip()
