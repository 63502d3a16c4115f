"""The lint knows what each predicate takes, without the engine: from docs/predicates.schema.json."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from engine.predicates import reference, validate
from web import lesson_predicates, lesson_schema

ROOT = Path(__file__).resolve().parents[2]
KNOWN = lesson_predicates.known(ROOT)


def _said(written: str) -> list[str]:
    return [said for _, said in lesson_predicates.mistakes([yaml.safe_load(written)], KNOWN)]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("hostnam: {name: box}", 'no predicate "hostnam"; did you mean "hostname"'),
        ("zzz: {}", 'no predicate "zzz"; expected one of process_in_ns, .*any_of'),
        ("hostname: {nam: box}", 'hostname: no argument "nam"; expected one of name; did you mean "name"'),
        ("hostname: {}", 'hostname: the argument "name" is missing'),
        ("hostname: {name: 5}", "hostname: name is 5; expected a text"),
        ("own_proc: {x: 1}", 'no argument "x"; expected one of none'),
        ("mount: {target: mnt, where: lab}", "target is 'mnt'; expected an absolute path"),
        ("mount: {target: /mnt, where: here}", "where is 'here'; expected one of own_only"),
        ("link: {name: lo, up: 1}", "up is 1; expected true or false"),
        ("oom_killed: {group: /box, min: true}", "min is True; expected a whole number"),
        ("process_in_ns: {}", "has no argument; expected one of differs"),
        ("process_in_ns: {differs: [utz]}", "differs is .'utz'.; expected a list of kinds"),
        ("answer: {name: a, is: inode, of: {nspod: 1}}", 'of: no argument "nspod".*did you mean "nspid"'),
        ("any_of: [{own_proc: {}}, {hostname: {nam: a}}]", 'hostname: no argument "nam"'),
        ("any_of: [{own_prok: {}}]", 'no predicate "own_prok".*did you mean "own_proc"'),
    ],
)
def test_a_mistake_is_said_with_the_nearest_right_word(written: str, said: str) -> None:
    """One sentence, and the same mistake is one for the engine."""
    found = _said(written)
    assert len(found) == 1 and re.search(said, found[0]), found
    with pytest.raises(Exception, match=r"."):
        validate([yaml.safe_load(written)])


@pytest.mark.parametrize(
    "written",
    [
        "process_in_ns: {differs: uts, uid_map: '0 * 1'}",
        "process_in_ns: {differs: [uts, pid], uid_map: ['0 * 1']}",
        "answer: {name: a, equals: [1, x]}",
        "command: {argv: [ls, /]}",
        *(reference.example(name) for name in reference.names()),
    ],
)
def test_what_the_engine_takes_is_taken(written: str) -> None:
    """Short forms and every example of a docstring."""
    assert _said(written) == []
    validate([yaml.safe_load(written)])


def test_the_line_is_that_of_the_argument(tmp_path: Path) -> None:
    """What is wrong deep in a lesson is said where it stands."""
    path = tmp_path / "lesson.yaml"
    path.write_text(
        "id: a\nminutes: 5\nsteps:\n  - id: one\n    checks:\n      - id: named\n        predicates:\n"
        "          - any_of:\n            - own_proc: {}\n            - hostname:\n                nam: box\n"
        "    solve: {run: 'true'}\n    wrong: [{id: w, run: 'true', check: named, code: a}]\n"
    )
    model, lines = lesson_schema.read(path, "lesson.yaml")
    places = [place for place, _ in lesson_predicates.mistakes(model.steps[0].checks[0].predicates, KNOWN)]
    found = [lines.at("steps", 0, "checks", 0, "predicates", *place) for place in places]
    assert found == [11]


def test_a_checkout_without_its_schema_is_said(tmp_path: Path) -> None:
    """Rather than a lint which lets everything pass."""
    with pytest.raises(ValueError, match="make it with"):
        lesson_predicates.known(tmp_path)
