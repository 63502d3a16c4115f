"""DATABASE_URL with a real PostgreSQL: progress outlives the web process, and the server may come and go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from engine.errors import Failed, Unsupported
from tests.web.conftest import Web
from tests.web.fake_engine import FakeEngine
from tests.web.lab_client import Browser, until
from tests.web.postgres import Postgres
from web.database import migrate, open_database
from web.paths import Paths
from web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def web(tmp_path: Path, postgres: Postgres) -> Iterator[Web]:
    """The real server, keeping progress in a database of its own."""
    with FakeEngine(tmp_path / "lab.sock"):
        made = Web(tmp_path, {"DATABASE_URL": postgres.url(postgres.database(), "postgres")})
        made.start()
        yield made
        if made.process is not None and made.process.poll() is None:
            made.kill()


def _ready(web: Web) -> dict[str, str]:
    found: dict[str, str] = requests.get(f"{web.url}/readyz", timeout=30).json()
    return found


def test_progress_outlives_the_web_process(web: Web) -> None:
    """A short `postgres://`, as hosting platforms give it, will do; no SQLite file is made beside it."""
    browser = Browser(web.url)
    browser.open("/en/lessons/01-try/")
    sent = {"lesson": "try", "step": "one", "kind": "predicted", "value": {"guess": "b"}}
    assert browser.post("/api/progress", sent).ok
    web.kill()
    web.start()
    browser = Browser(web.url)
    browser.open("/en/lessons/01-try/")
    assert browser.boot["progress"]["steps"]["one"]["predicted"] == {"guess": "b"}
    assert not (web.folder / "web" / "progress.sqlite3").exists()


def test_the_database_may_be_restarted(web: Web, postgres: Postgres) -> None:
    """While it is away, pages say so in a sentence and /readyz names it; afterwards all goes on by itself."""
    browser = Browser(web.url)
    browser.open("/en/lessons/01-try/")
    postgres.stop()
    try:
        assert _ready(web)["database"] != "ok"
        answer = browser.get("/en/")
        assert answer.status_code == 500 and "Traceback" not in answer.text
    finally:
        postgres.start()
    until(lambda: _ready(web)["database"] == "ok", "the database is back")
    assert browser.get("/en/").status_code == 200


def test_a_database_that_is_not_there_is_said(postgres: Postgres, tmp_path: Path) -> None:
    """Which one and what to do; never the password, and no trace."""
    url = postgres.url("nothing").replace("postgres@", "postgres:secret@")
    env = {"DATABASE_URL": url, "HAKO_WEB_DATA": str(tmp_path), "HAKO_WEB_PORT": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "web.serve"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert 'database "nothing" does not exist' in done.stderr and "DATABASE_URL" in done.stderr
    assert "secret" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("no url", Failed, "is no address of a database"),
        ("oracle://host/x", Unsupported, "oracle"),
        ("nosuch://host/x", Unsupported, "nosuch"),
        ("sqlite:////nowhere/at/all.sqlite3", Failed, "unable to open"),
    ],
)
def test_an_address_that_means_nothing_is_said(url: str, error: type[Exception], said: str) -> None:
    """Before anything is served."""
    with pytest.raises(error, match=said):
        migrate(open_database(url), Paths.of(WebSettings()).migrations)


@pytest.mark.parametrize("given", ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_every_way_to_write_it_means_the_driver_we_have(given: str) -> None:
    """SQLAlchemy would take others for the short forms."""
    assert WebSettings(database_url=given).sqlalchemy_url == "postgresql+psycopg://u@h/d"
