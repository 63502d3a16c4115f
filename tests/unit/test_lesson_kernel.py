"""Steps that not every kernel can do: left out where it cannot, and said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.linux.cgroup_hierarchy import Hierarchy
from engine.linux.cgroups import Root
from tests.unit.test_lessons import YAML, folder  # noqa: F401 - a fixture
from web import lessons
from web.lesson_model import LANGS, LessonError


@pytest.fixture
def two_steps(folder: Path) -> Path:  # noqa: F811
    """The small lesson with a second step, which needs I/O throttling, and a setup for both."""
    again = YAML.partition("steps:\n")[2].replace("id: one\n", "id: slow\n    needs: [io-throttle]\n    setup: own\n")
    (folder / "lesson.yaml").write_text(YAML.replace("steps:\n", "setup: before\nsteps:\n") + again, "utf-8")
    for lang in LANGS:
        head, step, end = re.split(r"(?=^## )", (folder / f"{lang}.md").read_text("utf-8"), flags=re.MULTILINE)
        (folder / f"{lang}.md").write_text(head + step + step.replace("{#one}", "{#slow}") + end, "utf-8")
    return folder


def test_a_step_is_left_out_where_the_kernel_cannot(two_steps: Path) -> None:
    """Nothing is left out while nobody knows; what is left out can still be named."""
    catalogue = lessons.load(two_steps.parent)
    assert catalogue.errors == ()
    assert [step.id for step in catalogue.lessons[0].steps] == ["one", "slow"]
    catalogue.choose("v1", ["io-throttle", "more"])
    assert [step.id for step in catalogue.lessons[0].steps] == ["one", "slow"]
    catalogue.choose("v2", [])
    assert [step.id for step in catalogue.lessons[0].steps] == ["one"]
    assert [step.id for step in catalogue.lessons[0].left_out] == ["slow"]


def test_the_lessons_setup_comes_before_the_steps(two_steps: Path) -> None:
    """One script for each step."""
    first, second = lessons.lesson(two_steps).steps
    assert (first.setup.split(), second.setup.split()) == (["before"], ["before", "own"])


def test_some_step_must_be_for_all(folder: Path) -> None:  # noqa: F811
    """A lesson of which nothing may be left is a mistake, and so is an ability that there is not."""
    yaml = folder / "lesson.yaml"
    for ability, said in (("io-throttle", "every step has `needs`"), ("io_throttle", "io-throttle")):
        yaml.write_text(YAML.replace("id: one\n", f"id: one\n    needs: [{ability}]\n"), "utf-8")
        with pytest.raises(LessonError, match=said):
            lessons.lesson(folder)


@pytest.mark.parametrize(("version", "file"), [("v1", "blkio.throttle.write_bps_device"), ("v2", "io.max")])
def test_the_engine_sees_whether_groups_can_throttle(tmp_path: Path, version: str, file: str) -> None:
    """By the file that a group of ours has, or has not."""
    hierarchy = Hierarchy(v1={"blkio": tmp_path}) if version == "v1" else Hierarchy(unified=tmp_path)
    root = Root(hierarchy, "hako")
    (tmp_path / "hako").mkdir()
    assert not root.throttles_io()
    (tmp_path / "hako" / file).touch()
    assert root.throttles_io()
