"""Which rows may never have been told of by `stored`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, select

from mailcore.events.identity import Identity
from mailcore.events.message import FoundBy, Kind
from mailcore.store import lookup
from mailcore.store.dialect import insert
from mailcore.store.row import Untold
from mailcore.store.schema import mailboxes, messages, untold


def add(connection: Connection, message_ids: Iterable[int]) -> None:
    values = [{"message_id": message_id} for message_id in message_ids]
    if values:
        connection.execute(insert(connection.dialect.name, untold), values)


def clear(connection: Connection, message_ids: Iterable[int]) -> None:
    connection.execute(delete(untold).where(untold.c.message_id.in_(list(message_ids))))


def older(connection: Connection, than: datetime, limit: int) -> list[Untold]:
    query = (
        select(
            messages.c.id,
            mailboxes.c.account,
            mailboxes.c.mailbox,
            messages.c.uidvalidity,
            messages.c.uid,
            mailboxes.c.id,
            messages.c.kind,
            messages.c.found_by,
            messages.c.pushed_at,
            messages.c.published_at,
        )
        .select_from(untold.join(messages).join(mailboxes))
        .where(messages.c.stored_at < than)
        .order_by(messages.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    stored = lookup.by_id(connection, [row[0] for row in rows])
    return [
        Untold(
            identity=Identity(*row[1:5]),
            mailbox_id=row[5],
            kind=Kind(row[6]),
            found_by=FoundBy(row[7]),
            pushed_at=row[8],
            published_at=row[9],
            row=stored[row[0]],
        )
        for row in rows
    ]
