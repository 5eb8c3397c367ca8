"""Statements on the audit table: what people and programs did here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select

from mailcore.audit import Entry
from mailcore.store.schema import audit_entries

_columns: Final = audit_entries.c
# A clock that jumps takes no more than this at once; new entries are fewer than that.
_GO_AT_ONCE: Final = 20


def add(connection: Connection, entry: Entry, since: datetime) -> None:
    """Some of the oldest from before `since` go."""
    old = select(_columns.id).where(_columns.at < since).order_by(_columns.id).limit(_GO_AT_ONCE)
    connection.execute(delete(audit_entries).where(_columns.id.in_(old)))
    values = {name: value for name, value in asdict(entry).items() if name != "id"}
    connection.execute(insert(audit_entries).values(**values))


def newest(connection: Connection, limit: int, before: int | None, action: str, who: str) -> list[Entry]:
    """The newest first: those with a smaller id than `before`, of this action and this person or token; "": of any."""
    query = select(audit_entries).order_by(_columns.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_columns.id < before)
    if action:
        query = query.where(_columns.action == action)
    if who:
        query = query.where(_columns.who == who)
    return [_entry(row) for row in connection.execute(query)]


def _entry(row: Row[Any]) -> Entry:
    return Entry(**row._mapping)
