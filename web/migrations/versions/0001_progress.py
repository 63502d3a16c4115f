"""Learners, enrolments, attempts and what happened in each step.

Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "learner",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_learner"),
    )
    op.create_table(
        "enrolment",
        sa.Column("learner", sa.String(64), nullable=False),
        sa.Column("lesson", sa.String(64), nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("learner", "lesson", name="pk_enrolment"),
        sa.ForeignKeyConstraint(["learner"], ["learner.id"], name="fk_enrolment_learner", ondelete="CASCADE"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("learner", sa.String(64), nullable=False),
        sa.Column("lesson", sa.String(64), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
        sa.ForeignKeyConstraint(["learner"], ["learner.id"], name="fk_attempt_learner", ondelete="CASCADE"),
    )
    op.create_index("ix_attempt_learner_lesson", "attempt", ["learner", "lesson"])
    op.create_index("ix_attempt_lab", "attempt", ["lab"])
    op.create_table(
        "step_result",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("learner", sa.String(64), nullable=False),
        sa.Column("lesson", sa.String(64), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("once", sa.String(300)),
        sa.PrimaryKeyConstraint("id", name="pk_step_result"),
        sa.ForeignKeyConstraint(["learner"], ["learner.id"], name="fk_step_result_learner", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["attempt"], ["attempt.id"], name="fk_step_result_attempt", ondelete="CASCADE"),
        sa.UniqueConstraint("once", name="uq_step_result_once"),
    )
    op.create_index("ix_step_result_learner_lesson", "step_result", ["learner", "lesson"])


def downgrade() -> None:
    for table in ("step_result", "attempt", "enrolment", "learner"):
        op.drop_table(table)
