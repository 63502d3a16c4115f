"""Every knob of the web process in one place, read from the environment and nowhere else.

Names start with `HAKO_WEB_`; `DATABASE_URL` is read without the prefix because hosting platforms set it under that
name. Lists are written with commas: `HAKO_WEB_ALLOWED_HOSTS=lab.example.org,10.0.0.7`. The engine has its own settings
in `engine/settings.py`; the only thing the two processes share is the path of one unix socket.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Words = Annotated[tuple[str, ...], NoDecode]


class WebSettings(BaseSettings):
    """Settings of one web process. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="HAKO_WEB_", frozen=True, populate_by_name=True)

    #: Address and port gunicorn listens on. Port 0 lets the kernel choose (tests).
    listen: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    #: Path below which everything lives, as behind JupyterHub: "" or "/user/name".
    prefix: str = ""
    #: Where the secret key and the SQLite file are kept; must be writable for the web user.
    data: Path = Path("/var/lib/hako/web")
    #: The engine's door: lab verbs only.
    lab_socket: Path = Path("/run/hako/lab.sock")
    #: Empty: SQLite in `data`. Otherwise PostgreSQL (`postgresql://…`), or any SQLAlchemy URL whose driver is there.
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    #: Content and built files; empty: found beside the package (`web/paths.py`).
    lessons: Path | None = None
    static: Path | None = None

    #: Host names a browser may use for this server, beside the loopback names and `listen`. Guards against DNS
    #: rebinding.
    allowed_hosts: Words = ()
    #: Origins that may open the websocket beside the page's own.
    allowed_origins: Words = ()
    #: How many proxies in front of us are trusted to set X-Forwarded-*.
    trusted_proxies: int = Field(default=0, ge=0, le=4)
    #: Who may be the one learner: networks, or `gateway` for the default gateway (a published container port).
    solo_peers: Words = ("127.0.0.0/8", "::1/128")

    #: gthread slots. Every open page holds one for as long as it lives, so this bounds the class.
    threads: int = Field(default=256, ge=8, le=2048)
    #: Slots kept free for plain HTTP, so that the pages of a full class still load.
    http_threads: int = Field(default=16, ge=2)
    pages_per_learner: int = Field(default=16, ge=1)
    #: Offer permessage-deflate to browsers: saves bytes for remote classes, costs 62 CPU s/GB.
    deflate: bool = False
    token_age_s: int = Field(default=3600, ge=60)
    #: A message of typed bytes; a longer paste is cut into several by the page.
    input_bytes: int = Field(default=16 * 1024, ge=256)
    #: The engine's bound on one frame of its socket is 256 KiB; nothing a page sends needs to be near it.
    message_bytes: int = Field(default=128 * 1024, ge=32 * 1024, le=240 * 1024)

    #: Every page is asked for a sign of life this often, and is gone when none comes in time. Below the 60 s after
    #: which common proxies cut an idle connection.
    ping_interval_s: int = Field(default=20, ge=1, le=55)
    ping_timeout_s: int = Field(default=20, ge=1)

    log_format: Literal["console", "json"] = "console"
    #: Empty: /metrics answers loopback only. Otherwise it wants `Authorization: Bearer <token>`.
    metrics_token: str = ""

    @field_validator("allowed_hosts", "allowed_origins", "solo_peers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not value.startswith("/"):
            raise ValueError("prefix must start with a slash, as in /user/name")
        return value

    @property
    def pages_max(self) -> int:
        """How many pages can hold a websocket at once."""
        return max(1, self.threads - self.http_threads)

    @property
    def sqlalchemy_url(self) -> str:
        """The database this process uses. Of PostgreSQL every way to write it means the driver that is installed."""
        scheme, colon, rest = self.database_url.partition(":")
        if scheme in ("postgres", "postgresql"):
            return f"postgresql+psycopg{colon}{rest}"
        return self.database_url or f"sqlite:///{self.data / 'progress.sqlite3'}"
