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
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from engine.errors import Failed, Unsupported

HINT = "Look at DATABASE_URL; without it progress is kept in a SQLite file."


def open_database(url: str) -> Engine:
    """A pool of connections; threads may share it.

    SQLite gets the three settings a server with threads needs: WAL (readers do not wait for the writer), a busy
    time-out instead of an error when two write at once, and foreign keys, which it ignores unless asked.

    Raises:
        Failed: it is no URL. Unsupported: there is no driver for it.
    """
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        kind = make_url(url).drivername
        raise Unsupported(f"There is no driver for a database of the kind {kind}: {error}.", HINT) from None
    except (ArgumentError, ValueError):  # never the URL itself: it may hold a password
        raise Failed("What DATABASE_URL says is no address of a database.", HINT) from None
    if engine.url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    # The patience first: while one thread turns WAL on, another one's first statement finds the database locked.
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()


def migrate(engine: Engine, folder: Path, revision: str = "head") -> None:
    """Bring the schema to `revision` by the scripts in `folder` (Alembic); nothing happens when it is there already.

    Raises:
        Failed: the database cannot be reached, or does not let us.
    """
    try:
        with engine.begin() as connection:
            command.upgrade(alembic_config(folder, connection), revision)
    except DBAPIError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise Failed(f"The database {where} cannot be used: {str(error.orig).strip()}", HINT) from None


def alembic_config(folder: Path, connection: Connection) -> Config:
    """Alembic without its ini file: the scripts' folder and the connection are all it needs here."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
