"""The words of predicates: mistakes a lesson may hold, and the lists of codes and examples."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine import predicates
from engine.errors import BadInput
from engine.predicates import CODES, PREDICATES, checked, validate
from tests.unit.made_up_lab import check, lab


@pytest.mark.parametrize(
    ("predicate", "hint"),
    [
        ({"hostnam": {"name": "x"}}, "'hostname'"),
        ({"frist_process": {}}, "'first_process'"),
        ({"xyzzy": {}}, "There are: "),
        ({"hostname": {"nme": "x"}}, "'name'"),
        ({"hostname": {}}, "needs the argument 'name'"),
        ({"hostname": {"name": 5}}, "a text"),
        ({"hostname": "box"}, "takes a map"),
        ({"process_in_ns": {}}, "needs one of"),
        ({"process_in_ns": {"differs": ["utc"]}}, "a list of kinds"),
        ({"process_in_ns": {"differs": []}}, "a list of kinds"),
        ({"process_in_ns": {"nspid": "1"}}, "a whole number"),
        ({"process_in_ns": {"nspid": True}}, "a whole number"),
        ({"process_in_ns": {"own_proc": "yes"}}, "true or false"),
        ({"process_in_ns": {"cgroup": "box"}}, "an absolute path"),
        ({"mount": {"target": "/t", "where": "inside"}}, "one of own_only"),
        ({"id_map": {"uid": "0 1"}}, "three numbers"),
        ({"id_map": {"uid": []}}, "three numbers"),
        ({"id_map": {}}, "needs one of"),
        ({"kept_namespace": {"kind": "dns", "by": "mount"}}, "one of user"),
        ({"answer": {"name": "q"}}, "needs one of"),
        ({"answer": {"name": "q", "is": "lab_pid", "of": {"difers": ["pid"]}}}, "'differs'"),
        ({"command": {"argv": "ls"}}, "a list of words"),
        ({"any_of": {}}, "takes a list"),
        ({"any_of": [{"command": {"script": "x"}}]}, "beside any_of"),
        ({"any_of": [{"hostnam": {}}]}, "'hostname'"),
        ({}, "one key"),
        ({"a": {}, "b": {}}, "one key"),
        ("hostname", "one key"),
    ],
)
def test_mistakes_are_answered_with_the_right_word(predicate: Any, hint: str) -> None:
    """A lesson's author reads what is wrong and what was perhaps meant."""
    with pytest.raises(BadInput, match=re.escape(hint)):
        validate([predicate])


def test_a_check_is_a_list() -> None:
    """Not a map, not nothing."""
    for wrong in ({}, [], None, "x"):
        with pytest.raises(BadInput, match="list"):
            validate(wrong)


def test_every_code_is_given_and_every_given_code_is_listed() -> None:
    """A code nobody gives would be translated for nothing; one that is not listed would have no words."""
    folder = Path(predicates.__file__).parent
    words: set[str] = set()
    for file in folder.glob("*.py"):
        if file.name != "codes.py":
            tree = ast.parse(file.read_text())
            words |= {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    assert {code for code in CODES if code != "ok"} <= words


@pytest.mark.parametrize("name", [*PREDICATES, "any_of"])
def test_every_predicate_has_an_example_that_is_right(name: str) -> None:
    """The docstring's example is a valid predicate of that name."""
    found = []
    for file in Path(predicates.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and "Example:" in (ast.get_docstring(node) or ""):
                found.append(yaml.safe_load((ast.get_docstring(node) or "").split("Example:\n", 1)[1]))
    (example,) = [one for one in found if name in one]
    assert checked(example)[0] == name


def test_result_travels() -> None:
    """As plain values."""
    assert check(lab(), own_proc={}).to_dict() == {"ok": False, "code": "no_own_ns", "params": {"kind": "pid"}}
