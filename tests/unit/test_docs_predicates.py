"""The reference of predicates in docs/lessons.md is what their docstrings say, and its examples are what they take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from engine.linux.procfs import KINDS
from engine.predicates import PREDICATES, reference, validate
from engine.predicates.arguments import Argument, kinds, text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lessons.md"
MARKED = f"before\n\n{reference.BEGIN}\n\nold\n\n{reference.END}\n\nafter\n"


def test_the_reference_is_not_stale() -> None:
    """docs/lessons.md holds what the docstrings and schemas say now."""
    page = PAGE.read_text()
    assert page == reference.renewed(page), f"docs/lessons.md is stale; run {reference.COMMAND}"


def test_every_predicate_has_its_place() -> None:
    """One heading for each word that a lesson may write, and every argument below it."""
    sections = re.split(r"^### `(\w+)`$", PAGE.read_text().partition(reference.BEGIN)[2], flags=re.M)[1:]
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    assert set(found) == {*PREDICATES, "any_of"}
    for name, predicate in PREDICATES.items():
        assert re.findall(r"^- `(\w+)`", found[name], re.M) == list(predicate.schema), name


def test_the_examples_of_the_page_are_valid() -> None:
    """What the page shows can be copied below `predicates:` of a lesson, and is of the predicate it stands with."""
    blocks = re.findall(r"^### `(\w+)`$.*?^```yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert [name for name, _ in blocks] == reference.names()
    for name, block in blocks:
        (predicate,) = yaml.safe_load(block)
        validate([predicate])
        assert set(predicate) == {name}


def test_a_docstring_without_an_example_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A predicate that shows no example cannot get into the reference."""
    monkeypatch.setattr(reference, "docstring", lambda name: "It holds.")
    with pytest.raises(ValueError, match="hostname has no Example"):
        reference.entry("hostname")


def test_only_what_stands_between_the_markers_changes() -> None:
    """The rest of the page is its author's; making it anew twice changes nothing more."""
    once = reference.renewed(MARKED)
    assert once.startswith("before\n\n<!--")
    assert once.endswith("-->\n\nafter\n")
    assert "\nold\n" not in once
    assert reference.renewed(once) == once


@pytest.mark.parametrize("page", ["", reference.BEGIN, reference.END, MARKED + MARKED])
def test_a_page_without_its_markers_is_left_alone(page: str) -> None:
    """A missing or doubled marker is an error, not a page cut in two."""
    with pytest.raises(ValueError, match="each once"):
        reference.renewed(page)


def test_the_form_of_an_argument_is_said_by_its_check() -> None:
    """The words an author reads in the reference are those of the refusal."""
    assert reference.form(Argument(text)) == "a text"
    assert reference.form(Argument(kinds)) == f"a list of kinds: {', '.join(KINDS)}"
