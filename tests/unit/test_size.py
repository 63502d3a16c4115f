"""A file is one idea: past 400 lines it holds two (docs, "Style" in CONTRIBUTING.md)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALARM = 400


def test_no_module_is_longer_than_the_alarm() -> None:
    """No module of ours, Python or JavaScript, test or not, is over 400 lines; neither is the launcher."""
    files = [
        ROOT / "hako",
        *(path for folder in ("engine", "web", "tests") for path in (ROOT / folder).rglob("*.py")),
        *(path for kind in ("*.js", "*.mjs", "*.css") for path in (ROOT / "static" / "src").rglob(kind)),
    ]
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in files}
    too_long = {str(path): length for path, length in lengths.items() if length > ALARM}
    assert not too_long
