"""Dependencies point one way (docs/architecture.md): each module may import its own layer and those below.

The rule is read from the source by `ast`, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Lowest first. A name is a module or package of `engine`; what is not named here may be imported by anyone in `engine`
# only if it is in COMMON, so that a new module has to be given its place.
LAYERS = (
    ("linux",),
    ("storage", "network"),
    ("images", "runtime"),
    ("lab", "labs", "observe", "predicates"),
    ("api",),
    ("daemon",),
    ("doctor", "supervisor", "units"),
    ("cli", "commands"),
)
COMMON = ("errors", "settings")
# The typed client stands outside: it speaks the wire of `api` and is the only door of `web`.
CLIENT = {"client": ("api", *COMMON)}
WEB_MAY_USE = ("engine.client", "engine.errors", "engine.api.types")
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


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


def _complaint(path: Path) -> str | None:
    """What is wrong with the imports of one file of `engine`, or None."""
    own = path.relative_to(ROOT / "engine").parts[0].removesuffix(".py")
    if own in ("__init__", "__main__", *COMMON):
        allowed = set(COMMON)
    elif own in CLIENT:
        allowed = {own, *CLIENT[own]}
    elif own in RANK:
        allowed = {name for name, rank in RANK.items() if rank < RANK[own]} | {own, "client", *COMMON}
        if RANK[own] < RANK["api"]:
            allowed -= {"client"}
        allowed |= set(LAYERS[RANK[own]]) if own in LAYERS[3] else set()
    else:
        return f"{path.relative_to(ROOT)}: engine/{own} has no place in LAYERS (tests/unit/test_layers.py)"
    for dotted in _imports(path):
        part = _engine_part(dotted)
        if part is not None and part not in allowed:
            return f"{path.relative_to(ROOT)} imports {dotted}: {own} may use {', '.join(sorted(allowed))}"
        if dotted.split(".")[0] == "web":
            return f"{path.relative_to(ROOT)} imports {dotted}: the engine knows nothing of the page"
    return None


def test_engine_imports_point_down() -> None:
    """No module of the engine imports a layer above or beside its own, and none imports the web app."""
    complaints = [complaint for path in _modules("engine") if (complaint := _complaint(path))]
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
