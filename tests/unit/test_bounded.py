"""Files that people edit are read within bounds, and mistakes are said with their line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from web import bounded
from web.lesson_model import LessonError

JAPANESE = "title: 名前空間はカーネルのしくみです\nsecond: それだけです\n"


def _read(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "lesson.yaml"
    path.write_bytes(data)
    return bounded.text(path, "x/lesson.yaml")


@pytest.mark.parametrize(
    ("encoding", "spelling"),
    [("shift_jis", "Shift_JIS"), ("euc_jp", "EUC-JP"), ("utf-16", "UTF-16")],
)
def test_another_encoding_is_named(tmp_path: Path, encoding: str, spelling: str) -> None:
    """A Japanese editor's default encoding is recognised, so that the author knows what to change."""
    with pytest.raises(LessonError, match=spelling) as caught:
        _read(tmp_path, ("a: b\n" + JAPANESE).encode(encoding))
    assert caught.value.line >= 1


def test_the_line_of_a_bad_byte(tmp_path: Path) -> None:
    """Not any known encoding: the line of the first bad byte."""
    with pytest.raises(LessonError, match="0xff") as caught:
        _read(tmp_path, b"one\ntwo\nthree \xff\xfe\xfd\n")
    assert caught.value.line == 3


def test_bom_and_windows_newlines_are_taken(tmp_path: Path) -> None:
    """What Windows editors add does no harm."""
    assert _read(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == "a: 1\nb: 2\n"


@pytest.mark.parametrize(("data", "said"), [(b"a\x00b", "control"), (b"x" * (bounded.MAX_BYTES + 1), "KiB")])
def test_control_characters_and_size(tmp_path: Path, data: bytes, said: str) -> None:
    """Neither NULs nor endless files."""
    with pytest.raises(LessonError, match=said):
        _read(tmp_path, data)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(LessonError, match="cannot be read"):
            bounded.text(path, "x")


BILLION = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)
)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (BILLION, 1, "anchor or alias"),
        ("a: 1\nb: *x\n", 2, "anchor or alias"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "tag"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a:\n  - x: 1\n    x: 2\n", 3, "twice"),
        ("[" * 100 + "]" * 100, 1, "nested"),
        ("[" + "x," * 30_000 + "]", 1, "more than"),
        ("a: [1, 2\nb: 3\n", 2, "is not YAML"),
        ("? [a, b]\n: c\n", 1, "a key is a list"),
        ("", 1, "empty"),
        ("a: 1\n---\nb: 2\n", 2, "is not YAML"),
    ],
)
def test_bad_yaml_is_refused_quickly_with_its_line(content: str, line: int, said: str) -> None:
    """Bombs, tags, duplicates, syntax: each one sentence with the line."""
    began = time.monotonic()
    with pytest.raises(LessonError, match=said) as caught:
        bounded.yaml_document(content, "x/lesson.yaml")
    assert caught.value.line == line
    assert time.monotonic() - began < 5


def test_line_of_a_path() -> None:
    """A path of keys and indexes leads to its line; one that ends early to the nearest above."""
    node = yaml.compose("a: 1\nsteps:\n  - id: x\n    checks:\n      - id: y\n", Loader=yaml.SafeLoader)
    assert node is not None
    assert bounded.line_of(node, ("steps", 0, "checks", 0, "id")) == 5
    assert bounded.line_of(node, ("steps", 0, "missing")) == 3
    assert bounded.line_of(node, ()) == 1
