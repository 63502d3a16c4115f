"""Two languages, equal: catalogues, the choice of one, and what is put into sentences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from web.i18n import LANGS, Translations, choose, fill
from web.paths import Paths
from web.settings import WebSettings

FOLDER = Paths.of(WebSettings()).translations
WORDS = Translations(FOLDER)


def test_both_languages_have_the_same_keys_and_places() -> None:
    """No sentence lands in one language only, and none loses what is put into it."""
    assert WORDS.keys("ja") == WORDS.keys("en")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_catalogues_are_sorted_and_hold_no_empty_sentence(path: Path) -> None:
    """Sorted, so that two people can edit one file."""
    catalogue = json.loads(path.read_text("utf-8"))
    assert list(catalogue) == sorted(catalogue)
    assert [key for key, text in catalogue.items() if not text.strip()] == []


def test_japanese_is_written_in_japanese() -> None:
    """A sentence that was only copied from English has no kana in it; commands are the same in both."""
    kana = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
    same = [
        key for key in WORDS.keys("ja")
        if len(re.sub(r"`[^`]*`", "", WORDS.t("en", key)).split()) > 3 and not kana.search(WORDS.t("ja", key))
    ]  # fmt: skip
    assert same == []


def test_every_sentence_the_code_names_exists() -> None:
    """Keys written out in Python and in templates are all in the catalogues."""
    root = Path(__file__).parents[2] / "web"
    named = set()
    for path in [*root.rglob("*.py"), *root.rglob("*.html")]:
        named |= set(re.findall(r"""\bt\(\s*(?:\w+,\s*)?["']([a-z_]+\.[a-z_.]+)["'][,)]""", path.read_text("utf-8")))
        named |= {f"trouble.{code}" for code in re.findall(r'BadMessage\("([a-z_]+)"', path.read_text("utf-8"))}
        named |= {f"trouble.{code}" for code in re.findall(r'\.tell\(page, "([a-z_]+)"', path.read_text("utf-8"))}
    assert len(named) > 20
    assert sorted(key for key in named if not WORDS.has("en", key)) == []


@pytest.mark.parametrize(
    ("cookie", "accept", "lang"),
    [
        (None, "ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        (None, "en-GB,en;q=0.9", "en"),
        (None, "fr-FR,fr;q=0.9,ja;q=0.2,en;q=0.1", "ja"),
        (None, "ja;q=0,en;q=0.1", "en"),
        (None, "de", "en"),
        (None, None, "en"),
        (None, "rubbish;;;,,,;q=9", "en"),
        ("ja", "en", "ja"),
        ("xx", "ja", "ja"),
    ],
)
def test_the_language_is_the_last_choice_or_what_the_browser_asks_for(
    cookie: str | None, accept: str | None, lang: str
) -> None:
    """RFC 9110 12.5.4, with English where nothing fits."""
    assert choose(cookie, accept) == lang


def test_values_cannot_reach_into_objects() -> None:
    """str.format would let a host name of `{0.__class__}` print our insides."""
    assert fill("{name} is {other}", {"name": "{other.__class__}"}) == "{other.__class__} is {other}"


def test_a_key_in_two_files_is_an_error(tmp_path: Path) -> None:
    """Otherwise one of the two sentences would never be seen."""
    for lang in LANGS:
        (tmp_path / f"{lang}.json").write_text('{"a": "x"}')
    (tmp_path / "more.ja.json").write_text('{"a": "y"}')
    with pytest.raises(ValueError, match=r"more\.ja\.json"):
        Translations(tmp_path)
