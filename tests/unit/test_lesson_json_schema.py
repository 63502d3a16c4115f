"""The schemas an editor uses are what the code takes now."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.linux.procfs import KINDS
from engine.predicates import PREDICATES, json_schema, reference
from engine.predicates.arguments import Argument, id_map, kinds, number, one_of, text
from web import lesson_json_schema
from web.lesson_schema import LessonModel, StepModel

DOCS = Path(__file__).resolve().parents[2] / "docs"
LESSON: dict[str, Any] = lesson_json_schema.schema()
PREDICATE: dict[str, Any] = json_schema.schema()


@pytest.mark.parametrize(
    ("name", "made", "command"),
    [
        ("lesson.schema.json", lesson_json_schema.text, lesson_json_schema.COMMAND),
        ("predicates.schema.json", json_schema.text, reference.COMMAND),
    ],
)
def test_the_schemas_are_not_stale(name: str, made: Any, command: str) -> None:
    """What is committed is what the models and the registry give."""
    assert (DOCS / name).read_text("utf-8") == made(), f"docs/{name} is stale; run {command}"


def test_every_key_of_a_lesson_is_described() -> None:
    """An editor shows what each key is for; no key is missing."""
    assert list(LESSON["properties"]) == list(LessonModel.model_fields)
    assert list(LESSON["$defs"]["StepModel"]["properties"]) == list(StepModel.model_fields)
    for name, model in {"LessonModel": LESSON, **LESSON["$defs"]}.items():
        assert model["additionalProperties"] is False, name
        for key, value in model["properties"].items():
            assert value.get("description"), f"{name}.{key}"


def test_a_lesson_can_name_every_view_there_is() -> None:
    """The views of lesson.yaml are the tabs of the drawer, in their order."""
    registry = (DOCS.parent / "static/src/views/registry.js").read_text("utf-8")
    tabs = re.findall(r"^  (\w+): \w+View,$", registry, re.MULTILINE)
    assert LESSON["$defs"]["StepModel"]["properties"]["view"]["enum"] == tabs


def test_short_forms_are_taken_as_the_loader_takes_them() -> None:
    """A plain text for `type`, one solution without a list."""
    action, step = LESSON["$defs"]["ActionModel"]["properties"], LESSON["$defs"]["StepModel"]["properties"]
    assert [one["type"] for one in action["type"]["anyOf"]] == ["string", "array"]
    assert step["solve"]["anyOf"][0] == {"$ref": "#/$defs/ActionModel"}


def test_every_predicate_has_its_arguments() -> None:
    """All names, their arguments, and which must be given; each lesson of ours is within it."""
    assert set(PREDICATE["properties"]) == {*PREDICATES, "any_of"}
    for name, predicate in PREDICATES.items():
        made = PREDICATE["$defs"][name]
        assert list(made["properties"]) == list(predicate.schema)
        assert made.get("required", []) == [word for word, one in predicate.schema.items() if one.required]
        assert made["description"] and "Example" not in made["description"]


def test_references_lead_somewhere() -> None:
    """A dangling $ref would make an editor give up on the whole file."""
    for schema in (LESSON, PREDICATE):
        for target in _refs(schema):
            file, _, pointer = target.partition("#")
            found: Any = json.loads((DOCS / file).read_text("utf-8")) if file else schema
            for word in pointer.split("/")[1:]:
                found = found[word]


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [found for one in value.values() for found in _refs(one)]
    return [found for one in value for found in _refs(one)] if isinstance(value, list) else []


def test_the_form_of_an_argument() -> None:
    """Made of the words with which its check refuses; a form nobody has described takes anything, and says which."""
    assert json_schema.argument(Argument(text))["type"] == "string"
    assert json_schema.argument(Argument(number))["type"] == "integer"
    assert json_schema.argument(Argument(one_of("a", "b")))["enum"] == ["a", "b"]
    assert json_schema.argument(Argument(kinds))["anyOf"][0] == {"enum": list(KINDS)}
    assert json_schema.argument(Argument(id_map))["anyOf"][0] == {"type": "string"}

    def odd(value: object) -> object:
        raise ValueError("an odd number")

    assert json_schema.argument(Argument(odd)) == {"description": "an odd number"}
