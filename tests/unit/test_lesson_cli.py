"""`hako lesson`: what an author sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from web.lesson_cli import main
from web.lesson_text import DIRECTIVES
from web.markup import MODES

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.mark.slow
def test_lint_of_our_own_lessons() -> None:
    """They are sound; it says how many it looked at."""
    code, output = _run("lint", "--root", str(ROOT / "lessons"))
    assert (code, "0 mistakes" in output) == (0, True), output


def test_a_new_lesson_is_sound_and_gets_the_next_number(tmp_path: Path) -> None:
    """The pattern passes the lint as it stands; what is there is never written over."""
    (tmp_path / "03-there").mkdir()
    code, output = _run("new", "--root", str(tmp_path), "my-own")
    assert code == 0 and "04-my-own" in output
    code, output = _run("lint", "--root", str(tmp_path))
    assert (code, "1 lesson, 0 mistakes" in output) == (0, True), output
    assert _run("new", "--root", str(tmp_path), "11-other")[0] == 0
    assert (tmp_path / "11-other" / "en.md").read_text("utf-8").startswith("# Other\n")


def test_a_name_that_is_no_name_or_taken(tmp_path: Path) -> None:
    """Said, and nothing is made."""
    (tmp_path / "03-there").mkdir()
    for name, said in (
        ("My Lesson", "small letters"),
        ("../x", "small letters"),
        ("03-else", "number 03 is taken by 03-there"),
        ("there", "a lesson of that name"),
    ):
        code, output = _run("new", "--root", str(tmp_path), name)
        assert code == 1 and said in output, output
    assert [each.name for each in tmp_path.iterdir()] == ["03-there"]


def test_lint_says_file_line_and_what_was_expected(tmp_path: Path) -> None:
    """One line per mistake, as compilers do, and the status is 1."""
    folder = tmp_path / "02-bad"
    folder.mkdir()
    (folder / "lesson.yaml").write_text("id: bad\nminuts: 5\n", "utf-8")
    code, output = _run("lint", "--root", str(tmp_path))
    assert code == 1
    assert '02-bad/lesson.yaml:2: unknown key "minuts"' in output and "1 mistake" in output


def test_a_lesson_that_is_not_there(tmp_path: Path) -> None:
    """A sentence, not a trace."""
    for command in ("lint", "test"):
        code, output = _run(command, "--root", str(tmp_path), "nothing")
        assert code == 1 and "No lesson in" in output and "nothing" in output


def test_no_engine(tmp_path: Path) -> None:
    """Who forgot to start it is told how."""
    code, output = _run("test", "--socket", str(tmp_path / "none.sock"), "namespaces")
    assert code == 1 and "hako up" in output


def test_the_authors_guide_names_every_directive_and_block() -> None:
    """docs/lessons.md is what an author reads: it must not lag behind the code."""
    guide = (ROOT / "docs" / "lessons.md").read_text("utf-8")
    for name in DIRECTIVES:
        assert f"`:::{name}" in guide
    for mode in (*MODES, "output"):
        assert f"```{mode}" in guide
