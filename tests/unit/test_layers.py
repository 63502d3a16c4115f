"""Dependencies point one way (docs/architecture.md): each module may import its own layer and those below.

The rule is read from the source by `ast`, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Lowest first. A name is a module or package of `engine`, or the first word of its name: `cli` is `cli_run` too.
# A module that is not named here has no place yet, and the test says so.
LAYERS = (
    ("linux",),
    ("storage", "network"),
    ("images",),
    ("runtime",),
    ("lab", "terminal", "observe", "predicates"),
    ("api",),
    ("daemon", "janitor"),
    ("doctor", "preflight", "children", "supervisor", "systemd"),
    ("cli",),
)
COMMON = ("errors", "settings")
# Up to here the layers of DESIGN 1: two that stand side by side know nothing of one another. Above, they may.
STRICT = 4
# The typed client stands outside: it speaks the wire of `api` and is the only door of `web`.
CLIENT_USES = ("client", "api", *COMMON)
WEB_MAY_USE = ("engine.client", "engine.errors", "engine.api.types")


def _rank(part: str) -> int | None:
    """The number of a part's layer; None for one that has no place."""
    for rank, layer in enumerate(LAYERS):
        if part in layer or part.split("_")[0] in layer:
            return rank
    return None


def _imports(path: Path) -> list[str]:
    """Every module that a file imports, as absolute dotted names; `from a import b` gives `a.b`."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def _engine_part(dotted: str) -> str | None:
    """`engine.storage.overlay.Overlay` -> `storage`; None for anything outside `engine` or `engine` itself."""
    parts = dotted.split(".")
    if parts[0] != "engine" or len(parts) < 2:
        return None
    part = parts[1]
    known = (ROOT / "engine" / part).is_dir() or (ROOT / "engine" / f"{part}.py").is_file()
    return part if known else None


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _may_use(own: str, part: str) -> bool:
    """Whether a module of the part `own` may import one of `part`."""
    if part == own or part in COMMON:
        return True
    if own == "client":
        return part in CLIENT_USES
    rank, other = _rank(own), _rank(part)
    if rank is None:
        return False
    if part == "client":
        return rank > LAYERS.index(("api",))
    return other is not None and (other < rank or (other == rank and rank >= STRICT))


def _complaints(path: Path) -> list[str]:
    """What is wrong with the imports of one file of `engine`."""
    own = path.relative_to(ROOT / "engine").parts[0].removesuffix(".py")
    if _rank(own) is None and own not in ("__init__", "client", *COMMON):
        return [f"{path.relative_to(ROOT)}: engine/{own} has no place in LAYERS"]
    used = [(dotted, _engine_part(dotted)) for dotted in _imports(path)]
    found = [
        f"{path.relative_to(ROOT)} imports {dotted}: {own} may not use {part}"
        for dotted, part in used
        if part is not None and not _may_use(own, part)
    ]
    return found + [f"{path.relative_to(ROOT)} imports {dotted}" for dotted, _ in used if dotted.split(".")[0] == "web"]


def test_engine_imports_point_down() -> None:
    """No module of the engine imports a layer above or beside its own, and none imports the web app."""
    complaints = [complaint for path in _modules("engine") for complaint in _complaints(path)]
    assert not complaints, "\n".join(complaints)


def test_web_enters_by_one_door() -> None:
    """The web app knows the engine's typed client, its errors and the types on the wire, and nothing else of it."""
    complaints = [
        f"{path.relative_to(ROOT)} imports {dotted}"
        for path in _modules("web")
        for dotted in _imports(path)
        if _engine_part(dotted) and not dotted.startswith(WEB_MAY_USE)
    ]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import engine.lab", ["engine.lab"]),
        ("from engine import lab, errors", ["engine.lab", "engine.errors"]),
        ("def f():\n    from ..runtime.plan import Plan", ["engine.runtime.plan.Plan"]),
        ("from . import b", ["engine.storage.b"]),
    ],
)
def test_imports_are_found_wherever_they_stand(
    source: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader sees absolute, relative and nested imports: a rule that overlooks one would hold nothing."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "engine" / "storage" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert _imports(path) == expected
