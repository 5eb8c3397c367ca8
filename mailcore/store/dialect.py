"""INSERT … ON CONFLICT, which both databases have and SQLAlchemy keeps in two modules."""

from __future__ import annotations

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


def insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """`dialect` is `connection.dialect.name`: with it alone a statement can be made once and kept."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
