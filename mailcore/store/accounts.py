"""Statements on the accounts of the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, select, true, update

from mailcore.store import deletion, tokens
from mailcore.store.dialect import insert
from mailcore.store.row import AccountRow
from mailcore.store.schema import accounts

_columns = accounts.c
# A removed one gives its name back: at once, or when its mail is gone.
_FREE = _columns.removed_at.is_not(None) & (~_columns.deletes_mail | ~exists(deletion.OF_ACCOUNT))


def load_all(connection: Connection) -> list[AccountRow]:
    """Those that were removed, too."""
    return [_row(row) for row in connection.execute(select(accounts).order_by(_columns.name))]


def add(connection: Connection, name: str, settings: Mapping[str, Any], secrets: str, at: datetime) -> bool:
    """False if the name is taken."""
    values = {"settings": settings, "secrets": secrets, "added_at": at, "changed_at": at, "paused_at": None}
    statement = insert(connection.dialect.name, accounts).values(name=name, **values)
    again = statement.on_conflict_do_update(
        index_elements=[_columns.name], set_=values | {"removed_at": None, "deletes_mail": False}, where=_FREE
    )
    return connection.execute(again.returning(_columns.id)).scalar_one_or_none() is not None


def change(connection: Connection, name: str, before: str, values: Mapping[str, Any]) -> bool:
    """False if it is not there, or its `secrets` are others than `before`: somebody else has changed it meanwhile."""
    statement = update(accounts).where(_columns.name == name, _columns.removed_at.is_(None), _columns.secrets == before)
    return connection.execute(statement.values(**values).returning(_columns.id)).scalar_one_or_none() is not None


def pause(connection: Connection, name: str, at: datetime | None) -> bool:
    """From then on, or (None) no more; a pause that lasts keeps its beginning. False if the account is not there."""
    present = (_columns.name == name) & _columns.removed_at.is_(None)
    if connection.execute(select(_columns.id).where(present)).scalar_one_or_none() is None:
        return False
    if at is not None:
        present &= _columns.paused_at.is_(None)
    connection.execute(update(accounts).where(present).values(paused_at=at))
    return True


def remove(connection: Connection, name: str, at: datetime, deletes_mail: bool) -> bool:
    """Its row stays, without settings, secrets and tokens. One that was removed can be removed with its mail. False if
    it is not there."""
    present = _columns.removed_at.is_(None)
    statement = update(accounts).where(_columns.name == name, true() if deletes_mail else present)
    values = {"settings": {}, "secrets": "", "removed_at": at, "paused_at": None, "deletes_mail": deletes_mail}
    tokens.forget(connection, name)
    return connection.execute(statement.values(**values).returning(_columns.id)).scalar_one_or_none() is not None


def _row(row: Row[Any]) -> AccountRow:
    return AccountRow(**row._mapping)
