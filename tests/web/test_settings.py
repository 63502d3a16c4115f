"""Settings come from the environment, and a wrong one is said at the start."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from web.settings import WebSettings


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON in an environment variable would be a trap."""
    monkeypatch.setenv("HAKO_WEB_ALLOWED_HOSTS", "a.example, b.example,")
    assert WebSettings().allowed_hosts == ("a.example", "b.example")


def test_the_database_url_has_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosting platforms set it under that name."""
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://db/hako")
    assert WebSettings().sqlalchemy_url == "postgresql+psycopg://db/hako"


def test_the_default_database_lies_in_the_data_folder(tmp_path: object) -> None:
    """One file, no server."""
    assert WebSettings(data="/x/web").sqlalchemy_url == "sqlite:////x/web/progress.sqlite3"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"prefix": "user/x"}, {"port": 70000}, {"threads": 1}, {"message_bytes": 10}, {"log_format": "xml"}]
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    """At once, not when it is first used."""
    with pytest.raises(ValidationError):
        WebSettings(**wrong)  # type: ignore[arg-type]


def test_some_threads_are_kept_for_plain_pages() -> None:
    """A full class must still be able to load a page."""
    settings = WebSettings(threads=64, http_threads=16)
    assert settings.pages_max == 48
