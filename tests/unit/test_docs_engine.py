"""docs/engine.md leads a reader through the code: what it links to is there, and its steps are the plan's."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from engine.runtime import plan, rootfs, spec
from engine.runtime.init import STEPS
from engine.runtime.words import WORDS
from web.pages.source import definitions

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "engine.md").read_text("utf-8")
LINKS = sorted(set(re.findall(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#([^)]+))?\)", PAGE)))
ROWS = re.findall(r"^\| `(\w+)` \| (\w+) \| \[([\w.]+)\]\([^)]+\) \| (.+) \|$", PAGE, re.M)


@pytest.mark.parametrize(("words", "path", "name"), LINKS)
def test_every_file_and_function_is_there(words: str, path: str, name: str) -> None:
    """A link names a file of ours and, after #, a function or class in it; its words do not name another one."""
    file = ROOT / path
    assert file.is_file(), path
    if name:
        known = {each for names in definitions(file.read_text("utf-8")).values() for each in names}
        assert name in known, f"{path} has no {name}"
        last = words.rpartition("/")[2].removesuffix(".py")
        assert name.endswith(last.rpartition(".")[2]) or last == Path(path).stem or last == Path(path).parent.name


def test_the_links_were_found() -> None:
    """The page is long and full of them."""
    assert len(LINKS) > 60
    assert sum(bool(name) for _, _, name in LINKS) > 50


def _steps() -> list[plan.Step]:
    """The plan of the command on the page."""
    run = spec.RunSpec(image="hako/mini", args=("sh",), tty=True, interactive=True)
    config = {**spec.config(run, {}, "0" * 64), "network": "bridge"}
    return list(plan.container(config, plan.Storage(("lower",), "upper", "work"), {"/etc/hosts": "hosts"}).steps)


def test_the_table_is_the_plan_of_its_command() -> None:
    """Every step in the plan's order, who takes it, and the man page that --explain names."""
    steps = [(step.kind, step.where) for step in _steps()]
    told = [kind for kind, _ in groupby(steps, key=lambda step: step[0])]
    once = list(dict.fromkeys(told))  # `mount` and `keep` come again, the page says so
    where = dict(steps)
    assert [(kind, who, man) for kind, who, _, man in ROWS] == [(kind, where[kind], WORDS[kind].man) for kind in once]


def test_the_child_s_steps_are_linked_to_what_carries_them_out() -> None:
    """The function of each row is the one that the child calls for that word."""
    handlers = {**STEPS, **rootfs.STEPS}
    for kind, who, function, _ in ROWS:
        if who == "child":
            assert handlers[kind].__name__ == function


def test_plans_are_made_as_often_as_the_page_claims() -> None:
    """What it says of making plans without the kernel is so: two are equal, and nothing is opened by making one."""
    before = sorted(Path("/proc/self/fd").iterdir())
    assert _steps() == _steps()
    assert len(sorted(Path("/proc/self/fd").iterdir())) == len(before)
