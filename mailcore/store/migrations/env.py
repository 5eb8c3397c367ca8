"""Alembic runs this file; the connection and its transaction are the caller's (mailcore/store/migration.py)."""

from alembic import context

from mailcore.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite has transactional DDL; Alembic leaves it off because the driver's own BEGIN comes too late. Ours does not.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
