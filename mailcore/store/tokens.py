"""Statements on the tokens of accounts that log in by OAuth."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from mailcore.store.row import KeptToken
from mailcore.store.schema import tokens

_columns = tokens.c


def load(connection: Connection, account: str) -> KeptToken | None:
    row = connection.execute(select(tokens).where(_columns.account == account)).one_or_none()
    return None if row is None else KeptToken(**row._mapping)


def load_all(connection: Connection) -> list[KeptToken]:
    return [KeptToken(**row._mapping) for row in connection.execute(select(tokens).order_by(_columns.account))]


def save(connection: Connection, kept: KeptToken) -> None:
    """In place of what was there. Two at once are kept apart by the account's lock."""
    forget(connection, kept.account)
    connection.execute(insert(tokens).values(**asdict(kept)))


def forget(connection: Connection, account: str) -> None:
    connection.execute(delete(tokens).where(_columns.account == account))
