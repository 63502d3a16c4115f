"""Whatever one lesson's files hold: a sentence with its file, soon, and the other lessons are there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from web import lessons
from web.lesson_cli import main
from web.lesson_new import make

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)


def _written(name: str, text: str | bytes) -> Callable[[Path], object]:
    data = text.encode() if isinstance(text, str) else text
    return lambda folder: (folder / name).write_bytes(data)


def _changed(name: str, old: str, new: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_bytes(text.replace(old, new).encode(encoding))

    return change


def _pipe(folder: Path) -> None:
    (folder / "en.md").unlink()
    os.mkfifo(folder / "en.md")


def _loop(folder: Path) -> None:
    (folder / "ja.md").unlink()
    (folder / "ja.md").symlink_to("ja.md")


BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "laughs": (_written("lesson.yaml", LAUGHS), "lesson.yaml:1", "anchor or alias"),
    "nested": (_written("lesson.yaml", "[" * 100_000), "lesson.yaml:1", "nested deeper"),
    "many": (_written("lesson.yaml", "[" + "1," * 60_000 + "]"), "lesson.yaml:1", "more than"),
    "large": (_written("lesson.yaml", "#" * 2_000_000), "lesson.yaml", "larger than"),
    "tag": (_changed("lesson.yaml", "minutes: 10", "minutes: !!python/name:os.system"), "lesson.yaml:4", "YAML tag"),
    "date": (_changed("lesson.yaml", "minutes: 10", "minutes: 2014-08-01"), "lesson.yaml:4", "minutes"),
    "endless": (_changed("lesson.yaml", "minutes: 10", "minutes: .inf"), "lesson.yaml:4", "minutes"),
    "list": (_written("lesson.yaml", "- a\n- b\n"), "lesson.yaml:1", "expected a mapping"),
    "sjis": (_changed("ja.md", "。", "。", "shift_jis"), "ja.md:3", "Shift_JIS"),
    "eucjp": (_changed("ja.md", "。", "。", "euc_jp"), "ja.md:3", "EUC-JP"),
    "jis": (_changed("ja.md", "。", "。", "iso2022_jp"), "ja.md:3", "ISO-2022-JP"),
    "utf16": (_changed("ja.md", "。", "。", "utf-16"), "ja.md:1", "UTF-16"),
    "nul": (_changed("en.md", "A pattern", "A\0pattern"), "en.md:5", "control character"),
    "pipe": (_pipe, "en.md", "not a plain file"),
    "loop": (_loop, "ja.md", "cannot be read"),
    "entity": (_changed("figures/first.svg", "<svg ", '<!DOCTYPE s [<!ENTITY a "b">]><svg '), "first.svg", "DOCTYPE"),
    "away": (_changed("en.md", "first.svg", "../../../etc/passwd"), "en.md", "expected a name like"),
    "word": (_changed("lesson.yaml", "hostname: {name", "hostnam: {name"), "lesson.yaml:16", 'did you mean "hostname"'),
}
#: Found by the lint only: the page can be shown, and the engine says so when the check is looked at.
SHOWN = {"word"}


@pytest.mark.parametrize("kind", BAD)
def test_it_is_said_and_the_others_go_on(kind: str, tmp_path: Path) -> None:
    """By the lint with file and line; the catalogue keeps the sound lesson and the reason for the other."""
    make(tmp_path, "sound")
    folder = make(tmp_path, "spoilt")
    spoil, place, said = BAD[kind]
    spoil(folder)
    began = time.monotonic()
    result = CliRunner().invoke(main, ["lint", "--root", str(tmp_path)])
    mine = [line for line in result.output.splitlines() if line.startswith(("02-spoilt/", "01-sound/"))]
    assert result.exit_code == 1 and mine, result.output
    assert any(place in line and said in line for line in mine), mine
    assert not any(line.startswith("01-") for line in mine)
    catalogue = lessons.load(tmp_path)
    assert [one.slug for one in catalogue.lessons] == ["01-sound", *(["02-spoilt"] if kind in SHOWN else [])]
    assert len(catalogue.errors) == (0 if kind in SHOWN else 1)
    assert time.monotonic() - began < 30, "not soon: something here grows faster than the file"
