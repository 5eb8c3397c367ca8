"""Statements on mailbox states: the syncer's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_, update

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


def load_all(connection: Connection, account: str | None) -> list[MailboxState]:
    query = select(mailboxes).order_by(mailboxes.c.account, mailboxes.c.mailbox)
    query = query if account is None else query.where(mailboxes.c.account == account)
    return [_state(row) for row in connection.execute(query)]


def of_account(connection: Connection, account: str) -> list[tuple[int, str]]:
    """Row ids and names."""
    query = select(mailboxes.c.id, mailboxes.c.mailbox).where(mailboxes.c.account == account).order_by(mailboxes.c.id)
    return [(row_id, mailbox) for row_id, mailbox in connection.execute(query)]


def account_seen_at(connection: Connection, account: str) -> datetime | None:
    query = select(func.min(mailboxes.c.first_seen_at)).where(mailboxes.c.account == account)
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def save(connection: Connection, key: MailboxKey, columns: Mapping[str, object]) -> MailboxState:
    """Insert or update; columns that are not named keep what they hold."""
    statement = insert(connection.dialect.name, mailboxes).values(account=key.account, mailbox=key.mailbox, **columns)
    # With nothing to set the key is set to itself, so that the row comes back.
    changes = {name: statement.excluded[name] for name in columns} or {"account": statement.excluded.account}
    upsert = statement.on_conflict_do_update(
        index_elements=[mailboxes.c.account, mailboxes.c.mailbox], set_=changes
    ).returning(mailboxes)
    return _state(connection.execute(upsert).one())


@dataclass(frozen=True, slots=True)
class Told:
    """A mailbox as an event tells it: its name at that time, the generation, and its row (0: not told)."""

    key: MailboxKey
    uidvalidity: int
    mailbox_id: int


def ids(connection: Connection, wanted: Iterable[Told]) -> dict[Told, int]:
    """The row ids of those that have a row: the one that was told if it still is that mailbox (its name, or, when it
    was renamed since, its generation), else the one of that name, as in a database that was made anew."""
    wanted = list(wanted)
    pair = tuple_(mailboxes.c.account, mailboxes.c.mailbox)
    columns = mailboxes.c.id, mailboxes.c.account, mailboxes.c.mailbox, mailboxes.c.uidvalidity
    named = pair.in_({(one.key.account, one.key.mailbox) for one in wanted})
    rows = connection.execute(select(*columns).where(named | mailboxes.c.id.in_({one.mailbox_id for one in wanted})))
    of_id = {row.id: row for row in rows}
    of_key = {MailboxKey(row.account, row.mailbox): row.id for row in of_id.values()}
    found = {one: of_key[one.key] for one in wanted if one.key in of_key}
    for one in wanted:
        row = of_id.get(one.mailbox_id)
        if row is not None and row.account == one.key.account and row.uidvalidity == one.uidvalidity:
            found[one] = row.id
    return found


def rename(connection: Connection, row_id: int, name: str) -> None:
    """The mailbox of that row has another name. A mailbox that had this name and is no more gets the old one."""
    row = connection.execute(select(mailboxes).where(mailboxes.c.id == row_id)).one()
    held = (mailboxes.c.account == row.account) & (mailboxes.c.mailbox == name) & (mailboxes.c.id != row_id)
    other = connection.execute(select(mailboxes.c.id).where(held)).scalar()
    if other is not None:
        connection.execute(update(mailboxes).where(mailboxes.c.id == other).values(mailbox=f"{name}\0{other}"))
    connection.execute(update(mailboxes).where(mailboxes.c.id == row_id).values(mailbox=name))
    if other is not None:
        connection.execute(update(mailboxes).where(mailboxes.c.id == other).values(mailbox=row.mailbox))
