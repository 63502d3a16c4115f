"""The reference of predicates in docs/lessons.md: made from their docstrings and schemas, so that it cannot be wrong.

    python -m engine.predicates.reference docs/lessons.md

writes it anew between its two markers, and predicates.schema.json beside the page (json_schema.py); a test says so when
that was forgotten. What an argument may be is asked of its own check, by showing it nothing: the words it refuses with
are the words an author would read.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.errors import BadInput
from engine.predicates import registry
from engine.predicates.arguments import Argument

COMMAND = ".venv/bin/python -m engine.predicates.reference docs/lessons.md"
BEGIN = f"<!-- predicates: made from docstrings; to make it anew: {COMMAND} -->"
END = "<!-- end of predicates -->"


def names() -> list[str]:
    """All predicates in the order of the registry; `any_of`, which holds others, last."""
    return [*registry.PREDICATES, "any_of"]


def docstring(name: str) -> str:
    """What a predicate's author wrote; that of `command` stands where its end is judged."""
    if name == "any_of":
        return inspect.getdoc(registry.any_of) or ""
    function = registry.PREDICATES[name].function
    return inspect.getdoc(registry.command_result if function is None else function) or ""


def example(name: str) -> str:
    """The predicate that a docstring shows, as it stands there.

    Raises:
        ValueError: the docstring has none.
    """
    _, found, text = docstring(name).partition("Example:\n")
    if not found:
        raise ValueError(f"the docstring of {name} has no Example:")
    return inspect.cleandoc(text).strip()


def entry(name: str) -> str:
    """One predicate as Markdown: its meaning, its arguments, an example."""
    paragraphs = docstring(name).partition("Example:\n")[0].split("\n\n")
    prose = [re.sub(r"\s+", " ", paragraph).strip() for paragraph in paragraphs if paragraph.strip()]
    parts = [f"### `{name}`", *prose, *_arguments(name), f"```yaml\n- {_plain(example(name))}\n```"]
    return "\n\n".join(parts)


def _plain(text: str) -> str:
    """`{name: {…}}` as a lesson writes it, `name: {…}`."""
    return text[1:-1] if text.startswith("{") and text.endswith("}") else text


def _arguments(name: str) -> list[str]:
    if name == "any_of":
        return ["Takes a list of predicates; none of them `command` or another `any_of`."]
    predicate = registry.PREDICATES[name]
    if not predicate.schema:
        return ["Takes no argument: `{}`."]
    listed = [
        f"- `{word}`{' (must be given)' if argument.required else ''}: {form(argument)}"
        for word, argument in predicate.schema.items()
    ]
    needed = f"At least one of {_words(predicate.some_of, predicate.schema)} must be given."
    return ["\n".join(listed), *([needed] if predicate.some_of else [])]


def _words(words: tuple[str, ...], schema: Mapping[str, Argument]) -> str:
    return "them" if set(words) == set(schema) else ", ".join(f"`{word}`" for word in words)


def form(argument: Argument) -> str:
    """What an argument may be, in the words with which its check refuses."""
    try:
        argument.check(None)
    except BadInput:
        return "conditions as in `process_in_ns`"
    except ValueError as error:
        return str(error)
    return "anything"


def section() -> str:
    """The whole reference, with its markers."""
    return "\n\n".join([BEGIN, *(entry(name) for name in names()), END])


def renewed(page: str) -> str:
    """A page with its reference made anew.

    Raises:
        ValueError: it does not have both markers, each once.
    """
    if page.count("<!-- predicates:") != 1 or page.count(END) != 1:
        raise ValueError(f"the page needs the markers {BEGIN} and {END}, each once")
    before = page.partition("<!-- predicates:")[0]
    return before + section() + page.partition(END)[2]


def main(target: Path) -> None:
    """Make the reference in a page, and the schema beside it, anew."""
    from engine.predicates import json_schema

    target.write_text(renewed(target.read_text("utf-8")), "utf-8")
    target.with_name("predicates.schema.json").write_text(json_schema.text(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
