"""docs/protocol.md and the list of metrics: every call, event, address and metric of the code, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric

from web.application import create_app
from web.metrics import Metrics
from web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
#: What a client tells itself about its connection; nothing of it goes over a socket.
OWN = {"connected", "disconnected", "error"}


def _section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}.*?$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[1]


def _rows(title: str, head: str) -> list[str]:
    """The first cells of the table that begins with `head`, in a section."""
    table = _section(title).partition(f"| {head} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", table, re.M)
    assert rows and len(set(rows)) == len(rows), (title, head)
    return rows


def _keys(path: str, owner: str) -> set[str]:
    """The names in the first dict of a class's method `handlers`."""
    tree = ast.parse((ROOT / path).read_bytes())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner]
    method = next(node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == "handlers")
    found = next(node for node in ast.walk(method) if isinstance(node, ast.Dict))
    return {str(key.value) for key in found.keys if isinstance(key, ast.Constant)}


def _named(folder: str, wanted: dict[str, int]) -> Iterator[str]:
    """The plain texts that calls of these functions or methods have at that place."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                place = wanted.get(name, len(node.args))
                if place < len(node.args) and isinstance(given := node.args[place], ast.Constant):
                    yield str(given.value)


@pytest.mark.parametrize(
    ("title", "path", "owner"),
    [("lab.sock", "engine/api/lab.py", "LabApi"), ("engine.sock", "engine/api/engine.py", "EngineApi")],
)
def test_every_call_of_the_engine_is_documented(title: str, path: str, owner: str) -> None:
    """Both sockets, each with its own."""
    assert set(_rows(title, "call")) == _keys(path, owner)


def test_every_event_of_the_engine_is_documented() -> None:
    """What it tells without having been asked."""
    assert set(_rows("lab.sock", "event")) == set(_named("engine", {"event": 0})) - OWN


def test_every_message_of_the_websocket_is_documented() -> None:
    """In both directions. The pictures of a lab are sent by name, from `Rooms._picture`."""
    assert set(_rows("The page's websocket", "from the page")) == _keys("web/sockets/events.py", "Events")
    sent = {name for name in _named("web", {"send": 0, "tell": 1, "_picture": 1}) if "_" not in name}
    codes = {name for name in _named("web", {"tell": 1}) if "_" in name}
    assert set(_rows("The page's websocket", "to the page")) == sent
    assert codes, "trouble.tell(page, CODE) is another function of that name: codes have an underscore"


def test_every_address_is_documented(tmp_path: Path) -> None:
    """Those of the application as it is built, with their methods."""
    rules = create_app(WebSettings(data=tmp_path, database_url="")).url_map.iter_rules()
    known = set()
    for rule in rules:
        path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda place: place[1].upper(), rule.rule)
        known |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert set(re.findall(r"^\| (GET|POST) \| `([^`]+)` \|", _section("Addresses"), re.M)) == known


def test_every_metric_is_documented_with_its_labels() -> None:
    """docs/configuration.md has a row for each, under the name that Prometheus sees."""
    known = {_shown(metric, Metrics()) for metric in Metrics().registry.collect()}
    assert set(re.findall(r"^\| `(lab_\w+(?:\{\w+\})?)` \|", CONFIGURATION, re.M)) == known


def _shown(metric: Metric, metrics: Metrics) -> str:
    """A metric as the page writes it: a counter ends with _total, a label stands in braces."""
    collector = metrics.registry._names_to_collectors[metric.name]
    labels = ",".join(collector._labelnames)  # type: ignore[attr-defined]
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return f"{name}{{{labels}}}" if labels else name
