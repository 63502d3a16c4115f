"""The plan a lab's own engine leaves in a file, and what is made of it when the learner wrote the file himself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.api import wire
from engine.observe.lastplan import MAX_BYTES, PLACE, PlanReader, parse
from engine.runtime import words

GOOD: dict[str, Any] = {
    "name": "box",
    "image": "hako/mini",
    "argv": ["sh"],
    "failed": None,
    "steps": [
        {"kind": "clone", "where": "zygote", "args": {"kinds": ["pid", "uts"]}, "at_us": 12.5, "took_us": 200.25},
        {"kind": "hostname", "where": "child", "args": {"hostname": "box"}, "at_us": 300.0, "took_us": 4.0},
        {"kind": "exec", "where": "child", "args": {"args": ["sh"]}},
    ],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a lab whose init is process 1 of a made-up /proc."""
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "root" / PLACE.lstrip("/")).parent.mkdir(parents=True)
    (tmp_path / "proc/1/root").symlink_to(tmp_path / "root")
    return tmp_path / "root"


def reader(root: Path) -> PlanReader:
    return PlanReader(str(root.parent / "proc"))


def test_a_plan_is_told_in_both_languages_with_its_times() -> None:
    """The sentences are made by the reader, from the arguments in the file; a step without a time was not taken."""
    told = parse(json.dumps(GOOD).encode(), 5.0)
    assert told is not None
    assert (told["name"], told["at"], told["failed"]) == ("box", 5.0, None)
    clone, hostname, program = told["steps"]
    assert clone["man"] == "clone(2), namespaces(7)"
    assert clone["kinds"] == ["pid", "uts"]
    assert hostname["text"] == {"en": "Call itself box.", "ja": "ホスト名を box にする。"}
    assert (clone["at_us"], clone["took_us"], program["took_us"]) == (12.5, 200.25, None)
    assert "sh" in program["text"]["ja"]


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [{"kind": "no such step", "where": "child", "args": {}}]},
        {"steps": [{"kind": "hostname", "where": "child", "args": {}}]},
        {"steps": [{"kind": "hostname", "where": "child", "args": {"hostname": 7}}]},
        {"steps": [{"kind": "hostname", "where": "moon", "args": {"hostname": "box"}}]},
        {"steps": [{"kind": "clone", "where": "child", "args": {"kinds": [["pid"]]}}]},
        {"steps": [{"kind": ["x"], "where": "child", "args": {}}]},
        {"steps": {"a": 1}},
        {"steps": 7},
        {"name": None},
        {"argv": "sh"[:0] or 3},
    ],
)
def test_a_file_of_another_shape_is_as_good_as_none(change: dict[str, Any]) -> None:
    """Nothing the learner writes there goes further, and nothing raises."""
    assert parse(json.dumps({**GOOD, **change}).encode(), 0.0) is None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 60_000, b'{"steps": ' + b"9" * 10_000 + b"}"])
def test_what_is_no_json_is_as_good_as_none(raw: bytes) -> None:
    """Also a file so deep that the parser gives up."""
    assert parse(raw, 0.0) is None


@pytest.mark.parametrize("value", [-1, 1e300, "soon", True, None, [1]])
def test_a_time_that_cannot_be_is_no_time(value: Any) -> None:
    """The page draws bars by these numbers."""
    step = {**GOOD["steps"][0], "took_us": value}
    told = parse(json.dumps({**GOOD, "steps": [step]}).encode(), 0.0)
    assert told is not None
    assert told["steps"][0]["took_us"] is None


def test_texts_are_cut_and_braces_in_them_are_only_text() -> None:
    """A host name like a template is printed as it is."""
    step = {"kind": "hostname", "where": "child", "args": {"hostname": "{cwd}" + "x" * 9999}}
    told = parse(json.dumps({**GOOD, "steps": [step]}).encode(), 0.0)
    assert told is not None
    assert told["steps"][0]["text"]["en"].startswith("Call itself {cwd}xxx")
    assert len(told["steps"][0]["text"]["en"]) < 250


def test_every_step_keeps_what_its_sentence_needs() -> None:
    """`fields` leaves out the rest, and the sentence can still be made in both languages."""
    everything: dict[str, object] = dict.fromkeys(words.FIELDS, "x") | {"kinds": ["pid"], "args": ["a", "b"]}
    for kind in words.WORDS:
        kept = words.fields(kind, {**everything, "secret": "s"})
        assert "secret" not in kept
        assert words.sentence(kind, kept, "en") == words.sentence(kind, everything, "en")
        assert words.sentence(kind, kept, "ja") == words.sentence(kind, everything, "ja")


def test_the_file_is_read_again_only_when_it_is_another(root: Path) -> None:
    """A look costs an open and an fstat; a new file is seen, a removed one forgotten."""
    plans, file = reader(root), root / PLACE.lstrip("/")
    plans.read(1)
    assert plans.last is None
    file.write_text(json.dumps(GOOD))
    plans.read(1)
    first = plans.last
    assert first is not None
    plans.read(1)
    assert plans.last is first
    new = file.with_suffix(".new")
    new.write_text(json.dumps({**GOOD, "name": "two"}))
    os.rename(new, file)
    plans.read(1)
    assert plans.last is not None
    assert plans.last["name"] == "two"
    file.unlink()
    plans.read(1)
    assert plans.last is None


def test_links_pipes_and_giants_are_not_read(root: Path, tmp_path: Path) -> None:
    """A link could lead out of the lab, a pipe would be waited for, a giant would fill the memory."""
    plans, file = reader(root), root / PLACE.lstrip("/")
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(GOOD))
    file.symlink_to(outside)
    plans.read(1)
    assert plans.last is None
    file.unlink()
    os.mkfifo(file)
    plans.read(1)
    assert plans.last is None
    file.unlink()
    file.write_text(json.dumps({**GOOD, "more": " " * MAX_BYTES}))
    plans.read(1)
    assert plans.last is None
    file.parent.rename(tmp_path / "moved")
    file.parent.symlink_to(tmp_path / "moved")
    (tmp_path / "moved" / file.name).write_text(json.dumps(GOOD))
    plans.read(1)
    assert plans.last is None


def test_a_lab_that_has_ended_has_no_plan(root: Path) -> None:
    """Nothing raises: the look itself says that the lab is gone."""
    plans = reader(root)
    plans.read(2)
    assert plans.last is None


def test_the_largest_plan_a_learner_can_write_fits_a_frame() -> None:
    """Each argument stands in the answer three times; the file is so short that this is no matter."""
    step = {"kind": "clone", "where": "zygote", "args": {"kinds": ["\u540d" * 200] * 4}, "at_us": 1, "took_us": 1}
    steps = [step]
    while len(json.dumps({**GOOD, "steps": [*steps, step]}, ensure_ascii=False).encode()) <= MAX_BYTES:
        steps.append(step)
    told = parse(json.dumps({**GOOD, "steps": steps}, ensure_ascii=False).encode(), 0.0)
    assert told is not None
    assert wire.length(wire.event("lab.plan", lab="x" * 64, plan=told)) < wire.MAX_FRAME
