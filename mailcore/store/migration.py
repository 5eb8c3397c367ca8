"""Alembic, run from Python under a lock, so that processes that start together upgrade once.

Expand, then contract: a migration only adds, and only what the statements of the version before need not know (columns
that may be null or have a default, tables, indexes that are not unique), because its processes run during the upgrade
and after it, and may be started again. What no code uses any more goes one release later. docs/operations.md has the
rule for operators; a test holds every migration to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from mailcore.store import search
from mailcore.store.migrations import versions
from mailcore.store.schema import metadata

# Any number will do as long as it is ours: the key of PostgreSQL's advisory lock.
_LOCK: Final = 0x6D6F7A7A
# Seconds that a change of a table waits for others (a long query, pg_dump) to let go of it. Whoever comes after it
# waits behind it, consumers too: better to give up and to come again.
_LOCK_TIMEOUT: Final = 15


def upgrade(connection: Connection, revision: str = "head") -> None:
    """To this revision, the newest one unless told otherwise, in the caller's transaction. On SQLite the caller began
    it with BEGIN IMMEDIATE, which is the lock there; on PostgreSQL the lock ends with the transaction. Tables of a
    later version are left alone: this one can work with them."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}s'"))
    found = current(connection)
    if is_later(found) or found == newest():
        return
    # Here and not above: every process asks for the revision, next to none has anything to upgrade, and Alembic costs
    # each start a tenth of its time.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def current(connection: Connection) -> str | None:
    """The revision of the database; None when it has no tables of ours yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def is_later(revision: str | None) -> bool:
    """Whether a later version of this program made it: this one does not know it."""
    return revision is not None and revision not in revisions()


def newest() -> str:
    """The revision that this code wants."""
    return revisions()[-1]


def revisions() -> list[str]:
    """All that this code knows, the first one first: one module each, `m` + number + `_` + what it is about."""
    return list(versions.REVISIONS)


def missing(connection: Connection) -> list[str]:
    """The tables and columns (`table.column`) that this code uses and the database lacks."""
    found = inspect(connection)
    present = set(found.get_table_names())
    lacking = [name for name in (search.NAME,) if name not in present]
    for table in metadata.sorted_tables:
        if table.name not in present:
            lacking.append(table.name)
            continue
        columns = {column["name"] for column in found.get_columns(table.name)}
        lacking += [f"{table.name}.{column.name}" for column in table.columns if column.name not in columns]
    return lacking
