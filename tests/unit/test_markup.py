"""Markdown of the lessons becomes HTML that a strict page can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import markup


def test_command_blocks_carry_mode_terminal_and_number() -> None:
    """A run block becomes a figure that the page's script can find, and is returned as a Block."""
    out = markup.render("```run second\nhostname <box>\n```\n\n```copy\nls\n```\n", line=7, prefix="uts")
    assert (
        'data-mode="run" data-terminal="second" data-block="uts-1"><pre><code>hostname &lt;box&gt;</code>' in out.html
    )
    assert [(b.id, b.mode, b.terminal, b.text, b.line) for b in out.blocks] == [
        ("uts-1", "run", "second", "hostname <box>", 7),
        ("uts-2", "copy", "lab", "ls", 11),
    ]


def test_numbering_goes_on_from_first() -> None:
    """Chunks of one step are rendered one by one; their blocks are numbered through."""
    assert markup.render("```run\nx\n```", prefix="pid", first=4).blocks[0].id == "pid-4"


@pytest.mark.parametrize(
    ("info", "said"),
    [("run two words", "one terminal"), ("run Lab!", "one terminal"), ("runn lab", "expected run, copy, edit")],
)
def test_a_wrong_fence_is_a_problem_with_its_line(info: str, said: str) -> None:
    """A block nobody could run is said, at the line of its fence."""
    out = markup.render(f"text\n\n```{info}\nls\n```\n", line=20)
    assert [(line, said in sentence) for line, sentence in out.problems] == [(22, True)]


def test_raw_html_images_and_script_links_stay_text() -> None:
    """Nothing in a lesson can become an element that we did not mean."""
    html = markup.render('<script>x</script> ![a](b.png) [c](javascript:x) <b onclick="x">').html
    assert "<script" not in html and "<img" not in html and "<a " not in html and "<b" not in html


def test_links_to_the_web_do_not_leak_where_one_came_from() -> None:
    """External links get rel; links within stay as they are."""
    html = markup.render("[a](https://example.org/) [b](../../source/engine/x.py#f) [c](#step-uts)").html
    assert html.count("noreferrer") == 1
    assert 'href="../../source/engine/x.py#f"' in html and 'href="#step-uts"' in html


def test_marks_and_keys() -> None:
    """:ns[…] gives letter and word, :key[…] a key; an unknown kind is a problem."""
    assert '<span class="ns ns-uts"><b>H</b> uts</span>' in markup.render(":ns[uts]").html
    assert "<kbd>Ctrl-C</kbd>" in markup.render(":key[Ctrl-C]").html
    out = markup.render(":ns[uds]", line=3)
    assert out.problems and out.problems[0][0] == 3 and ":ns[uds]" in out.html


def test_a_line_break_beside_a_japanese_character_is_no_space() -> None:
    """The source may be wrapped anywhere in Japanese text; in other text a break stays one."""
    assert "一行目の二行目" in markup.render("一行目の\n二行目").html
    assert "見て、<em>そこに</em>" in markup.render("見て、\n*そこに*").html
    assert "です。<strong>lab</strong>" in markup.render("です。\n**lab**").html
    assert "one\ntwo" in markup.render("one\ntwo").html


def test_plain_text_of_a_title() -> None:
    """Markup goes, characters stay."""
    assert markup.plain('Why `/proc` & "x" < y?') == 'Why /proc & "x" < y?'


@given(st.text(max_size=200))
def test_any_text_renders_without_scripts_or_styles(text: str) -> None:
    """Whatever an author writes, no script, style, event handler or image comes out."""
    html = markup.render(text).html.lower()
    for word in ("<script", "<style", "<img", "<iframe", 'href="javascript', 'href="data'):
        assert word not in html
