"""Alembic's entry: runs migrations on the connection that `web/database.py` hands over."""

from alembic import context

from web.tables import metadata

connection = context.config.attributes["connection"]
# SQLite cannot alter a column: Alembic's batch mode copies the table instead (https://alembic.sqlalchemy.org/en/latest/batch.html).
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
