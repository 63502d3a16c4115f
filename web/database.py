"""Opens the database and brings its schema up to date: SQLite in one file by default, PostgreSQL by URL.

Not here: the tables (`tables.py`) and what is asked of them (`progress.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url


def open_database(url: str) -> Engine:
    """A pool of connections; threads may share it.

    SQLite gets the three settings a server with threads needs: WAL (readers do not wait for the writer), a busy
    time-out instead of an error when two write at once, and foreign keys, which it ignores unless asked.
    """
    engine = create_engine(url, pool_pre_ping=True)
    if make_url(url).get_backend_name() == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    # The patience first: while one thread turns WAL on, another one's first statement finds the database locked.
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()


def migrate(engine: Engine, folder: Path, revision: str = "head") -> None:
    """Bring the schema to `revision` by the scripts in `folder` (Alembic); nothing happens when it is there already."""
    with engine.begin() as connection:
        command.upgrade(alembic_config(folder, connection), revision)


def alembic_config(folder: Path, connection: Connection) -> Config:
    """Alembic without its ini file: the scripts' folder and the connection are all it needs here."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
