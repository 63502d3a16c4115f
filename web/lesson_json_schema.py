"""The keys of lesson.yaml as JSON Schema, so that an editor completes and checks them: docs/lesson.schema.json.

    python -m web.lesson_json_schema docs/lesson.schema.json

writes it anew from the models of `web.lesson_schema`; a test says so when that was forgotten. The predicates stand in
predicates.schema.json beside it, which the engine makes. What needs more than one key to decide (ids that are there
twice, a solution for each kernel) only the lint can say.

An editor with a YAML language server finds the schema by the first line of lesson.yaml:

    # yaml-language-server: $schema=../../docs/lesson.schema.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from web.lesson_schema import LessonModel
from web.markup import NAMESPACES

COMMAND = ".venv/bin/python -m web.lesson_json_schema docs/lesson.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
PREDICATES = "predicates.schema.json"
FIRST_LINE = "# yaml-language-server: $schema=../../docs/lesson.schema.json"


def schema() -> dict[str, Any]:
    """The schema of one lesson.yaml."""
    made = LessonModel.model_json_schema(mode="validation")
    made["$defs"]["CheckModel"]["properties"]["predicates"]["items"] = {"$ref": PREDICATES}
    made["properties"]["kernel"]["items"] = {"enum": list(NAMESPACES)}
    named: dict[str, Any] = _without_titles(made)
    return {"$schema": DIALECT, "title": "lesson.yaml of Hako", "$comment": f"made by {COMMAND}", **named}


def text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _without_titles(value: Any) -> Any:
    """Without the titles that pydantic makes of names: they say nothing that the name does not."""
    if isinstance(value, dict):
        return {
            key: _without_titles(one) for key, one in value.items() if not (key == "title" and isinstance(one, str))
        }
    return [_without_titles(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), "utf-8")
