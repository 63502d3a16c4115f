"""Our own code as a page: highlighted by classes, with an anchor for each line and each definition.

A lesson says "this is the code that just did it" and links here, so nobody needs the internet or a checkout to read on.
Only files below a few folders, with a few endings, are shown; names are resolved before they are compared.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from markupsafe import Markup
from pygments import highlight as pygments_highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

FOLDERS = ("engine", "web", "static/src", "lessons")
ENDINGS = {".py": "python", ".js": "javascript", ".css": "css", ".yaml": "yaml", ".md": "markdown"}
MAX = 200_000


def read(root: Path, name: str) -> str | None:
    """Text of a file of ours; None for anything else."""
    root = root.resolve()
    path = (root / name).resolve()
    if not any(path.is_relative_to(root / folder) for folder in FOLDERS):
        return None
    if path.suffix not in ENDINGS or not path.is_file() or path.stat().st_size > MAX:
        return None
    return path.read_text("utf-8")


def highlight(name: str, text: str) -> Markup:
    """HTML with `id="L12"` on each line and, in Python, `id="function"` and `id="Class.method"` before definitions."""
    lexer = get_lexer_by_name(ENDINGS[Path(name).suffix])
    html = pygments_highlight(text, lexer, HtmlFormatter(linespans="L"))
    names = definitions(text) if name.endswith(".py") else {}

    def line(found: re.Match[str]) -> str:
        anchors = "".join(f'<a id="{name}"></a>' for name in names.get(int(found[1]), ()))
        return f'<span class="line" id="L{found[1]}">{anchors}'

    return Markup(re.sub(r'<span id="L-(\d+)">', line, html))


def definitions(text: str) -> dict[int, list[str]]:
    """Line -> names defined there, as anchors call them."""
    found: dict[int, list[str]] = {}

    def visit(node: ast.AST, within: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.setdefault(child.lineno, []).append(within + child.name)
                visit(child, f"{within}{child.name}.")
            elif isinstance(child, ast.Assign | ast.AnnAssign) and isinstance(node, ast.Module):
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                found.setdefault(child.lineno, []).extend(names)

    visit(ast.parse(text), "")
    return found
