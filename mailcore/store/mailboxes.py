"""Statements on mailbox states: the syncer's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, select, tuple_

from mailcore.events.identity import MailboxKey
from mailcore.store.dialect import insert
from mailcore.store.row import MailboxState
from mailcore.store.schema import mailboxes


def _state(row: Row[Any]) -> MailboxState:
    columns = dict(row._mapping)
    return MailboxState(**{**columns, "refused": tuple(columns["refused"])})


def load(connection: Connection, key: MailboxKey) -> MailboxState | None:
    query = select(mailboxes).where(mailboxes.c.account == key.account, mailboxes.c.mailbox == key.mailbox)
    row = connection.execute(query).one_or_none()
    return None if row is None else _state(row)


def load_all(connection: Connection) -> list[MailboxState]:
    rows = connection.execute(select(mailboxes).order_by(mailboxes.c.account, mailboxes.c.mailbox))
    return [_state(row) for row in rows]


def save(connection: Connection, key: MailboxKey, columns: Mapping[str, object]) -> MailboxState:
    """Insert or update; columns that are not named keep what they hold."""
    statement = insert(connection.dialect.name, mailboxes).values(account=key.account, mailbox=key.mailbox, **columns)
    # With nothing to set the key is set to itself, so that the row comes back.
    changes = {name: statement.excluded[name] for name in columns} or {"account": statement.excluded.account}
    upsert = statement.on_conflict_do_update(
        index_elements=[mailboxes.c.account, mailboxes.c.mailbox], set_=changes
    ).returning(mailboxes)
    return _state(connection.execute(upsert).one())


def ids(connection: Connection, keys: Iterable[MailboxKey]) -> dict[MailboxKey, int]:
    """The row ids of those that have a row."""
    wanted = [(key.account, key.mailbox) for key in keys]
    pair = tuple_(mailboxes.c.account, mailboxes.c.mailbox)
    rows = connection.execute(select(mailboxes.c.id, mailboxes.c.account, mailboxes.c.mailbox).where(pair.in_(wanted)))
    return {MailboxKey(account, mailbox): row_id for row_id, account, mailbox in rows}
