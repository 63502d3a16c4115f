"""Whatever stands in a lesson's files, reading them ends soon: with a value or with a LessonError naming the line."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from web import bounded, figures, lesson_text
from web.lesson_model import LessonError

_YAML_BITS = st.sampled_from(
    [
        "a: ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&x ",
        "*x",
        "!!int ",
        "|\n",
        ">\n",
        "? ",
        ": ",
        "\n",
        "  ",
        '"',
        "'",
        "#",
        "---\n",
        "名",
    ]
)
_TEXT_BITS = st.sampled_from(
    [
        "# T\n",
        "## S {#a}\n",
        "## S\n",
        ":::",
        ":::ask\n",
        ":::predict x\n",
        ":::\n",
        "```run lab\n",
        "```\n",
        "- [x] a\n",
        "  why\n",
        "> q\n",
        "words\n",
        "\n",
        "- `a.b`: c\n",
        ":ns[uts]",
    ]
)
_SVG_BITS = st.sampled_from(
    [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">',
        "</svg>",
        '<title lang="ja">x</title>',
        "<g>",
        "</g>",
        "<!--",
        '<desc lang="ja">y</desc>',
        "<script/>",
        '<path style="x"/>',
        '<use href="#a"/>',
        "&amp;",
        "&x;",
        "<?x?>",
        "-->",
    ]
)


def _soup(bits: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(bits | st.text(max_size=5), max_size=40).map("".join)


@given(_soup(_YAML_BITS))
def test_yaml(content: str) -> None:
    """Only LessonError, and its line is within the file."""
    try:
        bounded.yaml_document(content, "x")
    except LessonError as error:
        assert 0 <= error.line <= content.count("\n") + len(content.splitlines()) + 2


@given(_soup(_TEXT_BITS))
def test_words(content: str) -> None:
    """Sections, questions and advice alike; and nothing of the text is lost on the way."""
    try:
        found = lesson_text.sections(content, "x")
        for section in found:
            for chunk in section.chunks:
                lines = content.split("\n")
                assert chunk.text.split("\n")[0] == lines[chunk.line - 1] or not chunk.text
                if chunk.kind in ("predict", "quiz"):
                    lesson_text.question(chunk, "x")
                elif chunk.kind == "check":
                    lesson_text.advice(chunk, "x")
    except LessonError as error:
        assert 0 <= error.line <= content.count("\n") + 1


@given(_soup(_SVG_BITS))
def test_figures(content: str) -> None:
    """What comes out has no script, no style and no comment trick."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.svg"
        path.write_text(content, "utf-8", newline="")
        try:
            html = figures.read(path, "f.svg", "ja")
        except LessonError:
            return
        assert "<script" not in html and "style=" not in html and "<!--" not in html


@given(st.binary(max_size=200))
def test_bytes(data: bytes) -> None:
    """Any bytes are text or an error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.md"
        path.write_bytes(data)
        try:
            assert "\r\n" not in bounded.text(path, "f.md")
        except LessonError as error:
            assert error.line <= data.count(b"\n") + 1
