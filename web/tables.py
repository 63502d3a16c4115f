"""The database schema: four tables that say who learns, what was begun, and what happened. SQLAlchemy Core, no ORM.

`step_result` is append-only: what happened is never rewritten, so a clean second try is never spoilt by the first one.
An `attempt` is one lab of one lesson; results that belong to a lab (checks seen) point at it, so that a reset begins
with a clean list while a finished step stays finished. Changes to the schema go through `migrations/`; a test holds the
two together. Times are unix seconds, UTC.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

# Named constraints: without names PostgreSQL and SQLite would each invent their own and no migration could drop them.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

learner = Table(
    "learner",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),  # "solo"; later "class", "org"
    Column("created_at", Float, nullable=False),
)

enrolment = Table(
    "enrolment",
    metadata,
    Column("learner", String(64), ForeignKey("learner.id", ondelete="CASCADE"), primary_key=True),
    Column("lesson", String(64), primary_key=True),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("step", String(64), nullable=False),  # where the learner was last
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("learner", String(64), ForeignKey("learner.id", ondelete="CASCADE"), nullable=False),
    Column("lesson", String(64), nullable=False),
    Column("lab", String(64), nullable=False),
    Column("started_at", Float, nullable=False),
    Index("ix_attempt_learner_lesson", "learner", "lesson"),
    Index("ix_attempt_lab", "lab"),
)

step_result = Table(
    "step_result",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("learner", String(64), ForeignKey("learner.id", ondelete="CASCADE"), nullable=False),
    Column("lesson", String(64), nullable=False),
    Column("step", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # step_done, check_done, setup, predicted, hint, shown, quiz
    Column("name", String(64), nullable=False, default=""),  # id of the check, prediction or question
    Column("value", Text, nullable=False, default="null"),  # JSON
    Column("attempt", Integer, ForeignKey("attempt.id", ondelete="CASCADE")),
    Column("created_at", Float, nullable=False),
    Index("ix_step_result_learner_lesson", "learner", "lesson"),
    # What may happen once only carries a word here; NULL never collides. The database, not a lock in one process,
    # decides which of two pages finished the step.
    Column("once", String(300), unique=True),
)
