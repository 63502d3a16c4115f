"""Our own code as a page: only ours, with an anchor for each line and definition."""

from __future__ import annotations

from pathlib import Path

import pytest

from web.pages import source

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name",
    [
        "../etc/passwd", "/etc/passwd", "engine/../../etc/passwd", "engine/../pyproject.toml", "engine",
        "engine/nothing.py", ".git/config", "web/__pycache__/x.pyc", "static/package.json",
    ],
)  # fmt: skip
def test_anything_else_is_not_shown(name: str) -> None:
    """Whatever the path is made of."""
    assert source.read(ROOT, name) is None


def test_a_link_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    """Names are resolved before they are compared."""
    (tmp_path / "engine").mkdir()
    (tmp_path / "secret.py").write_text("x = 1")
    (tmp_path / "engine" / "link.py").symlink_to(tmp_path / "secret.py")
    assert source.read(tmp_path, "engine/link.py") is None


def test_lines_and_definitions_have_anchors() -> None:
    """Lessons link to both."""
    html = source.highlight(
        "x.py", "LIMIT = 3\n\n\nclass Gate:\n    def open(self) -> None:\n        '''two\n        lines'''\n"
    )
    for anchor in ("L1", "L7", "LIMIT", "Gate", "Gate.open"):
        assert f'id="{anchor}"' in html
    assert "style=" not in html


def test_code_cannot_become_html() -> None:
    """It is escaped like any text."""
    assert "<script>" not in source.highlight("x.py", "x = '<script>alert(1)</script>'\n")
