"""What a learner has done: kept, counted once where it counts once, and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import IntegrityError

from tests.web.postgres import Postgres
from web.database import migrate, open_database
from web.paths import Paths
from web.progress import Progress
from web.settings import WebSettings
from web.tables import learner, metadata

MIGRATIONS = Paths.of(WebSettings()).migrations


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A migrated database: a SQLite file, then one of a real PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'p.sqlite3'}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.database())
    engine = open_database(url)
    migrate(engine, MIGRATIONS)
    yield engine
    engine.dispose()


@pytest.fixture
def progress(database: Engine) -> Progress:
    """Progress with a clock that counts."""
    ticks = iter(range(1, 10_000))
    return Progress(database, lambda: float(next(ticks)))


def test_migrations_build_exactly_the_tables_of_the_code(database: Engine) -> None:
    """A column that was changed in one place only would be found here."""
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing(database: Engine) -> None:
    """Every start of the process migrates."""
    migrate(database, MIGRATIONS)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_sqlite_is_set_up_for_threads(database: Engine) -> None:
    """WAL and foreign keys are off unless asked for."""
    with database.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_there_is_one_solo_learner_however_often_one_asks(progress: Progress) -> None:
    """Also when two first requests come at once."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(progress.solo_learner())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*found, progress.solo_learner()}) == 1


def test_a_step_is_done_once_and_for_good(progress: Progress) -> None:
    """Only the first to say so hears that it is new; a reset of the lab does not undo it."""
    who = progress.solo_learner()
    assert progress.record(who, "namespaces", "uts", "step_done")
    assert not progress.record(who, "namespaces", "uts", "step_done")
    assert progress.of_lesson(who, "namespaces", in_attempt=7)["uts"].done


def test_checks_belong_to_the_attempt_they_were_seen_in(progress: Progress) -> None:
    """A fresh lab begins with a clean list."""
    who = progress.solo_learner()
    first = progress.begin_attempt(who, "namespaces", "lab1")
    assert progress.record(who, "namespaces", "uts", "check_done", name="a", in_attempt=first)
    assert not progress.record(who, "namespaces", "uts", "check_done", name="a", in_attempt=first)
    second = progress.begin_attempt(who, "namespaces", "lab1")
    assert progress.of_lesson(who, "namespaces", first)["uts"].checks == {"a"}
    assert progress.of_lesson(who, "namespaces", second) == {}
    assert progress.record(who, "namespaces", "uts", "check_done", name="a", in_attempt=second)


def test_answers_keep_the_last_and_hints_the_most(progress: Progress) -> None:
    """Rows are only ever added; reading them decides."""
    who = progress.solo_learner()
    for value in ("a", "b"):
        progress.record(who, "l", "s", "predicted", name="q", value=value)
    for value in (2, 1):
        progress.record(who, "l", "s", "hint", value=value)
    step = progress.of_lesson(who, "l")["s"]
    assert (step.predicted, step.hints) == ({"q": "b"}, 2)


def test_a_long_or_impossible_value_is_refused(progress: Progress) -> None:
    """What a page sends is bounded before it is written."""
    who = progress.solo_learner()
    with pytest.raises(ValueError, match="longer"):
        progress.record(who, "l", "s", "predicted", name="q", value="x" * 3000)
    with pytest.raises(ValueError, match="JSON"):
        progress.record(who, "l", "s", "predicted", name="q", value=float("nan"))


def test_one_learner_never_sees_anothers(progress: Progress, database: Engine) -> None:
    """Neither results, nor attempts, nor whose lab it is."""
    ann = progress.solo_learner()
    with database.begin() as connection:
        connection.execute(insert(learner).values(id="bob", kind="class", created_at=1.0))
    progress.begin_attempt(ann, "l", "lab1")
    progress.record(ann, "l", "s", "step_done")
    progress.visit(ann, "l", "s")
    assert progress.of_lesson("bob", "l") == {}
    assert progress.current_attempt("bob", "l") is None
    assert progress.lesson_of_lab("bob", "lab1") is None
    assert progress.overview("bob") == {}


def test_an_unknown_learner_is_an_error_not_a_row(progress: Progress) -> None:
    """Foreign keys hold: a `once` collision is told from a learner that is not there."""
    with pytest.raises(IntegrityError):
        progress.begin_attempt("nobody", "l", "lab1")


def test_the_overview_knows_where_one_was(progress: Progress) -> None:
    """For "go on where you were"."""
    who = progress.solo_learner()
    progress.visit(who, "l", "one")
    progress.visit(who, "l", "two")
    progress.record(who, "l", "one", "step_done")
    overview = progress.overview(who)["l"]
    assert (overview.step, overview.done) == ("two", {"one"})
