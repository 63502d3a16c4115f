"""The glossary: its file, which words are marked where, and the one that is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from web import glossary, lessons, markup
from web.glossary import Terms
from web.lesson_lint import AVOID
from web.lesson_model import LANGS, LessonError

ROOT = Path(__file__).resolve().parents[2]
WORDS = """
- id: host
  basic: true
  ja: {word: ホスト, says: 側}
  en: {word: host, says: a side}
- id: lab-host
  ja: {word: ラボホスト, says: 箱}
  en: {word: lab host, says: a box}
- id: capability
  ja: {word: ケーパビリティ, says: 権限}
  en: {word: capability, says: a piece, others: [capabilities]}
- id: hierarchy
  ja: {word: 階層, says: 木}
  en: {word: hierarchy, says: a tree}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of lessons with these words."""
    (tmp_path / "glossary.yaml").write_text(WORDS, "utf-8")
    return tmp_path


def _marked(text: str, terms: Terms) -> list[str]:
    return re.findall(r'data-term="([^"]+)"', markup.render(text, terms=terms).html)


def test_a_word_is_marked_where_it_first_stands(folder: Path) -> None:
    """Once in a step; a basic one once in a lesson; the longer word wins."""
    terms = Terms(glossary.load(folder), "en")
    first = terms.step()
    assert _marked("A lab host is a host. The lab host, the host.", first) == ["lab-host", "host"]
    assert _marked("The lab host again, a host.", first) == []
    assert _marked("The lab host again, a host.", terms.step()) == ["lab-host"]


@pytest.mark.parametrize(
    ("lang", "text", "found"),
    [
        ("en", "Hosts and Capabilities", ["host", "capability"]),
        ("en", "hostname, ghost, host-like, /host, host.conf", []),
        ("en", "at the host.", ["host"]),
        ("ja", "ホストは階層を持つ", ["host", "hierarchy"]),
        ("ja", "ホストネーム、仮想ホスティング、階層化", []),
        ("ja", "ラボホストのホスト", ["lab-host", "host"]),
    ],
)
def test_part_of_a_longer_word_is_no_word(folder: Path, lang: str, text: str, found: list[str]) -> None:
    """By the kind of letters around: katakana, kanji, latin."""
    assert _marked(text, Terms(glossary.load(folder), lang)) == found


def test_code_headings_and_links_are_left_alone(folder: Path) -> None:
    """What is a name for the machine or leads elsewhere is no word of the text."""
    terms = Terms(glossary.load(folder), "en")
    assert _marked("### The host\n\n`host` and [a host](#x)\n\n```\nhost\n```\n", terms) == []


def test_a_text_may_mark_another_form(folder: Path) -> None:
    """`:term[shown|id]`; an unknown id is a problem with the nearest one."""
    terms = Terms(glossary.load(folder), "en")
    out = markup.render("A :term[hosting <b>|host] machine, a host.", terms=terms)
    assert out.html.count('class="term"') == 1
    assert ">hosting &lt;b&gt;</button>" in out.html
    bad = markup.render("A :term[thing|hots].", line=7, terms=terms)
    assert bad.problems and bad.problems[0][0] == 7 and 'did you mean "host"?' in bad.problems[0][1]


@pytest.mark.parametrize(
    ("yaml", "line", "said"),
    [
        ("- id: a\n  ja: {word: あ, says: い}\n", 1, "en: expected word"),
        ("id: a", 1, "expected a list"),
        ("- id: A b\n  ja: {}\n  en: {}\n", 1, "expected the keys id"),
        (WORDS + "- id: other\n  ja: {word: ホスト, says: 別}\n  en: {word: other, says: x}\n", 15, '"host" already'),
        (WORDS + "- id: host\n  ja: {word: 別, says: 別}\n  en: {word: other, says: x}\n", 15, "twice"),
        ("- id: a\n  ja: {word: あ, says: " + "い" * 300 + "}\n  en: {word: a, says: b}\n", 1, "at most 220"),
    ],
)
def test_a_mistake_is_said_with_its_line_and_costs_no_lesson(tmp_path: Path, yaml: str, line: int, said: str) -> None:
    """File, line, what was expected; the catalogue keeps it among its errors."""
    (tmp_path / "glossary.yaml").write_text(yaml.lstrip("\n"), "utf-8")
    with pytest.raises(LessonError) as caught:
        glossary.load(tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).startswith("glossary.yaml:")
    assert abs(caught.value.line - line) <= 3
    assert [error.file for error in lessons.load(tmp_path).errors] == ["glossary.yaml"]


def test_the_words_that_are_shipped() -> None:
    """Every one is our own word in both languages, and no sentence uses one we do not use."""
    entries = glossary.load(ROOT / "lessons").entries
    assert len(entries) >= 60
    for entry in entries:
        for lang in LANGS:
            for pattern in AVOID[lang]:
                assert not re.search(pattern, f"{entry.word[lang]} {entry.says[lang]}"), (entry.id, pattern)
            assert entry.says[lang][-1] in ".。）", entry.id


def test_lessons_mark_the_same_things_in_both_languages_mostly() -> None:
    """The words a lesson is about are marked in both: a form that is never found is noticed here."""
    for lesson in lessons.load(ROOT / "lessons").lessons:
        found = {
            lang: set(re.findall(r'data-term="([^"]+)"', "".join(step.html[lang] for step in lesson.steps)))
            for lang in LANGS
        }
        assert len(found["ja"] & found["en"]) >= 0.5 * min(map(len, found.values())), (lesson.slug, found)
