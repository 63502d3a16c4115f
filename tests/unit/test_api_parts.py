"""The small parts of the api: arguments, keys of typed blocks, clocks of labs, observations cut to a frame."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.api import wire
from engine.api.args import Args
from engine.api.life import IDLE, LIFE, Life, due
from engine.api.typed import KEYS, Typed
from engine.api.watch import fitting
from engine.errors import BadInput


@pytest.mark.parametrize(
    ("take", "values", "words"),
    [
        (lambda a: a.text("name"), {}, "test.call needs name: text"),
        (lambda a: a.text("name"), {"name": None}, "test.call needs name: text"),
        (lambda a: a.text("name"), {"name": 7}, "name of test.call is int, not text"),
        (lambda a: a.text("name"), {"name": "x" * 257}, "has 257 characters; at most 256"),
        (lambda a: a.integer("rows", 2, 500), {"rows": True}, "rows of test.call is bool, not a whole number"),
        (lambda a: a.integer("rows", 2, 500), {"rows": 1.5}, "is float, not a whole number"),
        (lambda a: a.integer("rows", 2, 500), {"rows": 501}, "is 501; it must be from 2 to 500"),
        (lambda a: a.data("data", 3), {"data": b"four"}, "has 4 bytes; at most 3"),
        (lambda a: a.seconds("t", 10), {"t": float("nan")}, "must be above 0"),
        (lambda a: a.seconds("t", 10), {"t": -1}, "must be above 0"),
        (lambda a: a.flag("f"), {"f": "yes"}, "is str, not true or false"),
        (lambda a: a.choice("role", ("a", "b"), "a"), {"role": "c"}, "is 'c'; it is one of a, b"),
        (lambda a: a.mapping("m"), {"m": [1]}, "is list, not a map"),
        (lambda a: a.items("l", str, 2), {"l": ["a", 1]}, "holds int, not only str"),
        (lambda a: a.items("l", str, 2), {"l": ["a"] * 3}, "has 3 entries; at most 2"),
    ],
)
def test_a_wrong_argument_is_named_with_what_it_should_be(take: Any, values: dict[str, Any], words: str) -> None:
    """Each kind of mistake has its sentence."""
    with pytest.raises(BadInput) as caught:
        take(Args("test.call", values))
    assert words in caught.value.message


def test_what_is_left_out_has_its_default() -> None:
    """Absent and null are the same."""
    args = Args("test.call", {"null": None})
    assert args.text("null", "x") == "x"
    assert args.integer("rows", 1, 9, default=3) == 3
    assert args.optional_integer("rows", 1, 9) is None
    assert args.flag("f") is False
    assert args.mapping("m") == {}
    assert args.data("d", 5, b"") == b""


def test_text_is_taken_for_bytes() -> None:
    """A client without a bytes type may send UTF-8 text."""
    assert Args("test.call", {"data": "箱"}).data("data", 10) == "箱".encode()


def test_a_key_is_new_once_also_for_the_next_daemon(tmp_path: Path) -> None:
    """The file is read again."""
    first = Typed(tmp_path / "typed")
    assert first.first_time("lab.1.shell", "k") is True
    assert first.first_time("lab.1.shell", "k") is False
    assert first.first_time("lab.2.shell", "k") is True
    assert Typed(tmp_path / "typed").first_time("lab.1.shell", "k") is False


def test_keys_are_bounded_in_memory_and_on_disk(tmp_path: Path) -> None:
    """The newest 256 are kept, whoever asks; the file does not grow for ever."""
    typed = Typed(tmp_path)
    for number in range(5 * KEYS):
        assert typed.first_time("t", f"key-{number}")
    assert (tmp_path / "t").read_text().count("\n") <= 2 * KEYS
    assert typed.first_time("t", f"key-{5 * KEYS - 1}") is False
    assert typed.first_time("t", "key-0") is True
    assert Typed(tmp_path).first_time("t", f"key-{5 * KEYS - 1}") is False


def test_forgotten_and_unknown_terminals_leave_no_file(tmp_path: Path) -> None:
    """After a reset, and after a restart in which a lab did not come back."""
    typed = Typed(tmp_path)
    for terminal in ("a", "b", "c"):
        typed.first_time(terminal, "k")
    typed.forget("a")
    typed.sweep({"c"})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("key", ["", "x" * 129, "two\nlines", "nul\0"])
def test_a_key_that_cannot_be_a_line_is_refused(tmp_path: Path, key: str) -> None:
    """It would corrupt the file."""
    with pytest.raises(BadInput, match=r"printable"):
        Typed(tmp_path).first_time("t", key)


@dataclass
class FakeLab:
    """What the clocks look at."""

    id: str = "a"
    state: str = "ready"
    reason: str = ""
    idle_ends_at: float = 1000.0
    ends_at: float = 5000.0


class FakeLabs:
    """One lab, and who was ended why."""

    def __init__(self, lab: FakeLab) -> None:
        self.lab = lab

    def all(self) -> list[FakeLab]:
        return [] if self.lab.state == "ended" else [self.lab]

    async def remove(self, lab: FakeLab, reason: str) -> None:
        lab.state, lab.reason = "ended", reason


def test_clocks_of_a_lab() -> None:
    """Idle ends one that is ready, its life ends any; what is being made or gone is left alone."""
    assert due(FakeLab(), 999) == ""  # type: ignore[arg-type]
    assert due(FakeLab(), 1000) == IDLE  # type: ignore[arg-type]
    assert due(FakeLab(state="paused"), 1000) == ""  # type: ignore[arg-type]
    assert due(FakeLab(state="paused"), 5000) == LIFE  # type: ignore[arg-type]
    assert due(FakeLab(state="creating"), 9000) == ""  # type: ignore[arg-type]


def test_a_lab_is_announced_warned_of_twice_and_ended_and_each_is_told_once() -> None:
    """Five minutes and one minute before; a second tick at the same time says nothing."""
    lab, told, ended = FakeLab(), [], []

    def describe(each: Any) -> dict[str, Any]:
        return {"state": each.state, "idle_ends_at": each.idle_ends_at, "ends_at": each.ends_at, "progress": None}

    now = [0.0]
    life = Life(
        FakeLabs(lab),  # type: ignore[arg-type]
        lambda subject, message: told.append((now[0], message["lab"]["state"])),
        describe,
        ended.append,
        clock=lambda: now[0],
    )
    for now[0] in (0.0, 1.0, 699.0, 700.0, 701.0, 940.0, 941.0, 1000.0, 1001.0):
        asyncio.run(life.tick())
    assert told == [(0.0, "ready"), (700.0, "ready"), (940.0, "ready"), (1000.0, "ended")]
    assert ended == ["a"]


def test_typing_takes_a_warning_back() -> None:
    """The page hears that the clock was put back, once."""
    lab, told, now = FakeLab(), [], [0.0]

    def describe(each: Any) -> dict[str, Any]:
        return {"state": each.state, "idle_ends_at": each.idle_ends_at, "ends_at": each.ends_at, "progress": None}

    tell: Any = lambda subject, message: told.append(message["lab"]["idle_ends_at"])  # noqa: E731
    life = Life(FakeLabs(lab), tell, describe, lambda lab: None, clock=lambda: now[0])  # type: ignore[arg-type]
    for now[0], lab.idle_ends_at in ((0.0, 1000.0), (950.0, 1000.0), (951.0, 1951.0), (952.0, 1952.0)):
        asyncio.run(life.tick())
    assert told == [1000.0, 1000.0, 1951.0]


def test_a_lab_that_could_not_be_made_is_told_as_ended() -> None:
    """It was seen while it was made; the page must not wait for it for ever."""
    lab, told = FakeLab(state="creating"), []
    labs = FakeLabs(lab)

    def describe(each: Any) -> dict[str, Any]:
        return {"state": each.state, "idle_ends_at": each.idle_ends_at, "ends_at": each.ends_at, "progress": None}

    life = Life(labs, lambda subject, message: told.append(message["lab"]["state"]), describe, lambda lab: None)  # type: ignore[arg-type]
    asyncio.run(life.tick())
    labs.all = list  # type: ignore[method-assign]
    asyncio.run(life.tick())
    asyncio.run(life.tick())
    assert told == ["creating", "ended"]
    assert lab.reason == "it could not be made"


def test_an_observation_that_fits_is_left_as_it_is() -> None:
    """No copy, no mark."""
    small = {"lab": "a", "processes": [], "mounts": {}, "truncated": []}
    assert fitting(small) is small


def test_layers_that_do_not_fit_are_told_by_their_first_files() -> None:
    """The unions themselves stay; the form is the one that the page expects; mounts are not touched for it."""
    files = [{"path": f"/{number:0200}"} for number in range(500)]
    trees = {str(key): {"files": files, "truncated": False} for key in range(9)}
    trees["small"] = {"files": [], "truncated": False}
    layers = {"unions": [{"target": "/m", "changes": files}], "trees": trees}
    cut = fitting({"lab": "a", "processes": [], "mounts": {"1": ["m"]}, "layers": layers, "truncated": []})
    assert wire.length(cut) < wire.MAX_FRAME
    assert (cut["truncated"], cut["mounts"]) == (["layers"], {"1": ["m"]})
    assert len(cut["layers"]["unions"][0]["changes"]) == len(cut["layers"]["trees"]["1"]["files"]) == 40
    assert (cut["layers"]["trees"]["1"]["truncated"], cut["layers"]["trees"]["small"]["truncated"]) == (True, False)
    assert len(trees["1"]["files"]) == 500, "the original is untouched"


def test_one_that_does_not_fit_loses_its_bulk_and_says_so() -> None:
    """First mounts; in the end half of the processes, as often as it takes; then it fits."""
    huge = {
        "lab": "a",
        "processes": [{"argv": ["x" * 1000]} for _ in range(512)],
        "mounts": {"1": ["m" * 1000] * 400},
        "links": {},
        "cgroups": [],
        "truncated": ["links"],
    }
    cut = fitting(huge)
    assert wire.length(cut) < wire.MAX_FRAME
    assert cut["mounts"] == {}
    assert 0 < len(cut["processes"]) < 512
    assert cut["truncated"][0] == "links"
    assert {"mounts", "processes"} <= set(cut["truncated"])
    assert len(huge["processes"]) == 512, "the original is untouched"
