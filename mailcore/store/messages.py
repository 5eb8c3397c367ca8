"""Statements on messages and attachments: the consumers' tables. Each may run twice (redelivery, a cancelled
commit)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, delete, func, select, union_all, update

from mailcore.store.dialect import insert
from mailcore.store.row import MessageRow, Move, Slot, StoredMessage, StoredOrigin
from mailcore.store.schema import attachments, formers, messages

# Both databases take some 32,000 parameters in a statement.
_UIDS_A_STATEMENT: Final = 10_000

_present: Final = messages.c.expunged_at.is_(None)
_facts: Final = (
    messages.c.id,
    messages.c.size,
    messages.c.sha256,
    messages.c.stored_at,
    messages.c.expunged_at,
    messages.c.defects,
    select(func.count()).where(attachments.c.message_id == messages.c.id).scalar_subquery(),
)


def stored_uids(connection: Connection, mailbox_id: int, uidvalidity: int) -> list[int]:
    query = (
        select(messages.c.uid)
        .where(messages.c.mailbox_id == mailbox_id, messages.c.uidvalidity == uidvalidity, _present)
        .order_by(messages.c.uid)
    )
    return list(connection.execute(query).scalars().all())


def stored_among(connection: Connection, slots: Iterable[Slot]) -> set[int]:
    found: set[int] = set()
    for condition in _conditions(messages, slots):
        found.update(connection.execute(select(messages.c.uid).where(condition, _present)).scalars())
    return found


def other_generations(connection: Connection, mailbox_id: int, uidvalidity: int) -> list[StoredOrigin]:
    query = (
        select(messages.c.sha256, messages.c.uidvalidity, messages.c.uid)
        .where(messages.c.mailbox_id == mailbox_id, messages.c.uidvalidity != uidvalidity, _present)
        .order_by(messages.c.uidvalidity, messages.c.uid)
    )
    return [StoredOrigin(*row) for row in connection.execute(query)]


def count(connection: Connection, mailbox_id: int | None) -> int:
    query = select(func.count()).select_from(messages).where(_present)
    if mailbox_id is not None:
        query = query.where(messages.c.mailbox_id == mailbox_id)
    return connection.execute(query).scalar_one()


def known(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, StoredMessage]:
    """Those that have a row, under this identity or, if it is a former one, under their present one."""
    wanted = list(slots)
    found: dict[Slot, StoredMessage] = {}
    # One statement, not two: on SQLite each one crosses threads several times.
    for here, before in zip(_conditions(messages, wanted), _conditions(formers, wanted), strict=True):
        at_former = formers.join(messages, formers.c.message_id == messages.c.id)
        query = union_all(
            select(*_facts, *_slot_columns(messages)).where(here),
            select(*_facts, *_slot_columns(formers)).select_from(at_former).where(before),
        )
        found.update((Slot(*row[-3:]), _stored(row)) for row in connection.execute(query))
    return found


def _slot_columns(table: Table) -> tuple[Column[int], Column[int], Column[int]]:
    return table.c.mailbox_id, table.c.uidvalidity, table.c.uid


def add(connection: Connection, rows: Sequence[MessageRow]) -> list[int]:
    """Insert those that are not there; the ids of all, in order."""
    statement = (
        insert(connection, messages)
        .on_conflict_do_nothing(index_elements=[messages.c.mailbox_id, messages.c.uidvalidity, messages.c.uid])
        .returning(messages.c.id, messages.c.mailbox_id, messages.c.uidvalidity, messages.c.uid)
    )
    # FTS5 writes out what it has gathered whenever a rowid is not above the last one: the oldest first costs half as
    # much as the order of a backlog.
    by_time = sorted(rows, key=lambda row: row.received_at)
    inserted = connection.execute(statement, [_message_values(row) for row in by_time])
    fresh = {Slot(*row[1:]): row[0] for row in inserted}
    # After the insert, not before: a rebind that committed in between has left the former identity here, and the row
    # that was just made would be its double.
    doubles = _formers(connection, fresh)
    if doubles:
        connection.execute(delete(messages).where(messages.c.id.in_([fresh.pop(slot) for slot in doubles])))
    # The last row of an identity that the batch holds twice is as good as the first: they are the same message.
    by_slot = {row.slot: row for row in rows}
    parts = [values for slot, row_id in fresh.items() for values in _attachment_values(row_id, by_slot[slot])]
    if parts:
        connection.execute(insert(connection, attachments), parts)
    ids = fresh | doubles
    absent = by_slot.keys() - ids.keys()
    if absent:
        ids |= {slot: stored.id for slot, stored in (known(connection, absent)).items()}
    return [ids[row.slot] for row in rows]


def set_expunged(connection: Connection, marks: Iterable[tuple[Slot, datetime]]) -> None:
    """The first time that is told stays."""
    statement = (
        update(messages)
        .where(
            messages.c.mailbox_id == bindparam("in_mailbox"),
            messages.c.uidvalidity == bindparam("in_generation"),
            messages.c.uid == bindparam("with_uid"),
            _present,
        )
        .values(expunged_at=bindparam("at"))
    )
    values = [
        {"in_mailbox": slot.mailbox_id, "in_generation": slot.uidvalidity, "with_uid": slot.uid, "at": at}
        for slot, at in marks
    ]
    if values:
        connection.execute(statement, values)


def set_present(connection: Connection, row_ids: Sequence[int]) -> None:
    """The server has them after all."""
    connection.execute(update(messages).where(messages.c.id.in_(row_ids)).values(expunged_at=None))


def move(connection: Connection, moves: Sequence[Move]) -> list[int | None]:
    """I7. The row ids in order; None where neither identity has a row."""
    slots = {slot for each in moves for slot in (each.origin, each.target)}
    ids = _ids(connection, slots)
    # A redelivery may come after the next rebind: then its target is a former identity, and moving the row would be
    # going back.
    ids |= _formers(connection, slots - ids.keys())
    changes: dict[int, Move] = {}
    out: list[int | None] = []
    for each in moves:
        row_id = ids.get(each.target)
        if row_id is None:
            row_id = ids.get(each.origin)
            if row_id is not None and row_id not in changes:
                changes[row_id] = each
        out.append(row_id)
    if changes:
        _apply(connection, changes)
    return out


def _apply(connection: Connection, changes: dict[int, Move]) -> None:
    # The server has the message, or nobody would rebind it: it is not expunged.
    statement = (
        update(messages)
        .where(messages.c.id == bindparam("row_id"))
        .values(uidvalidity=bindparam("to_generation"), uid=bindparam("to_uid"), expunged_at=None)
    )
    connection.execute(
        statement,
        [
            {"row_id": row_id, "to_generation": each.target.uidvalidity, "to_uid": each.target.uid}
            for row_id, each in changes.items()
        ],
    )
    connection.execute(
        insert(connection, formers).on_conflict_do_nothing(),
        [{**_slot_values(each.origin), "message_id": row_id} for row_id, each in changes.items()],
    )


def _ids(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, int]:
    return _pairs(connection, messages, messages.c.id, slots)


def _formers(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, int]:
    return _pairs(connection, formers, formers.c.message_id, slots)


def _pairs(connection: Connection, table: Table, value: ColumnElement[int], slots: Iterable[Slot]) -> dict[Slot, int]:
    found: dict[Slot, int] = {}
    for condition in _conditions(table, slots):
        query = select(table.c.mailbox_id, table.c.uidvalidity, table.c.uid, value).where(condition)
        found.update((Slot(*row[:3]), row[3]) for row in connection.execute(query))
    return found


def _conditions(table: Table, slots: Iterable[Slot]) -> Iterator[ColumnElement[bool]]:
    """WHERE clauses that name all of them, each short enough for one statement and served by the UNIQUE index."""
    groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for slot in slots:
        groups[slot.mailbox_id, slot.uidvalidity].append(slot.uid)
    for (mailbox_id, uidvalidity), uids in groups.items():
        for start in range(0, len(uids), _UIDS_A_STATEMENT):
            yield (
                (table.c.mailbox_id == mailbox_id)
                & (table.c.uidvalidity == uidvalidity)
                & table.c.uid.in_(uids[start : start + _UIDS_A_STATEMENT])
            )


def _stored(row: Sequence[Any]) -> StoredMessage:
    return StoredMessage(
        id=row[0],
        size=row[1],
        sha256=row[2],
        stored_at=row[3],
        expunged_at=row[4],
        defects=tuple(row[5]),
        attachments=row[6],
    )


def _slot_values(slot: Slot) -> dict[str, int]:
    return {"mailbox_id": slot.mailbox_id, "uidvalidity": slot.uidvalidity, "uid": slot.uid}


def _message_values(row: MessageRow) -> dict[str, object]:
    return {
        **_slot_values(row.slot),
        "size": row.size,
        "sha256": row.sha256,
        "has_attachments": bool(row.attachments),
        "received_at": row.received_at,
        "sent_at": row.sent_at,
        "stored_at": row.stored_at,
        "message_id": row.message_id,
        "subject": row.subject,
        "from_name": row.from_name,
        "from_email": row.from_email,
        "to_emails": row.to_emails,
        "cc_emails": row.cc_emails,
        "reply_to": row.reply_to,
        "in_reply_to": row.in_reply_to,
        "references_ids": row.references,
        "flags": row.flags,
        "defects": row.defects,
        "headers": row.headers,
        "body_text": row.body_text,
        "body_html": row.body_html,
        "pushed_at": row.pushed_at,
        "published_at": row.published_at,
        "stream_seq": row.stream_seq,
        "kind": row.kind,
        "found_by": row.found_by,
        "search_text": row.search_text,
    }


def _attachment_values(row_id: int, row: MessageRow) -> Iterator[dict[str, object]]:
    for part in row.attachments:
        yield {
            "message_id": row_id,
            "part_id": part.part_id,
            "filename": part.filename,
            "content_type": part.content_type,
            "size": part.size,
            "sha256": part.sha256,
            "content_id": part.content_id,
            "inline": part.inline,
            "file": part.file,
        }
