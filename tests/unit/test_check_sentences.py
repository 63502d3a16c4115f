"""Every result a check can have is said in both languages, with the parameters it has and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.predicates import CODES, PREDICATES
from web.i18n import LANGS, Translations
from web.lesson_lint import result_codes
from web.lesson_predicates import known

ROOT = Path(__file__).resolve().parents[2]
WORDS = Translations(ROOT / "web" / "translations")


def test_each_code_has_its_sentences_and_each_sentence_its_code() -> None:
    """Nothing the engine says is left bare; nothing is kept that it never says."""
    assert result_codes(WORDS) == set(CODES) - {"ok"}


@pytest.mark.parametrize("lang", LANGS)
def test_places_are_parameters_of_the_code(lang: str) -> None:
    """A {place} that the code does not fill would stand in the page as it is."""
    for code in set(CODES) - {"ok"}:
        for part in ("saw", "try"):
            sentence = WORDS.t(lang, f"check.{code}.{part}")
            assert sentence != f"check.{code}.{part}"
            assert set(re.findall(r"\{(\w+)\}", sentence)) <= set(CODES[code]), (code, part)


def test_lint_knows_the_engine_s_predicates() -> None:
    """The lint reads them from their schema, since the page may not import the engine."""
    assert set(known(ROOT)["properties"]) == {*PREDICATES, "any_of"}
