"""Statements on messages and attachments: the consumers' tables. Each may run twice (redelivery, a cancelled
commit)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, bindparam, delete, func, literal, select, tuple_, update

from mailcore.imap.sequence import UidSet
from mailcore.store import lookup, parts, untold
from mailcore.store.dialect import insert
from mailcore.store.lookup import PRESENT, slot_columns
from mailcore.store.row import MessageRow, Move, PresentDigest, Slot, StoredDigest, StoredOrigin
from mailcore.store.schema import attachments, formers, messages

_FIELDS: Final = tuple(
    messages.c[name]
    for name in ("id", "subject", "from_name", "from_email", "to_emails", "cc_emails", "to_names", "cc_names")
)
_TEXTS: Final = (messages.c.body_text, messages.c.search_text)
_UIDS_A_STATEMENT: Final = 10_000  # both databases take some 32,000 parameters in one


def stored_uids(connection: Connection, mailbox_id: int, uidvalidity: int) -> list[int]:
    query = (
        select(messages.c.uid)
        .where(messages.c.mailbox_id == mailbox_id, messages.c.uidvalidity == uidvalidity, PRESENT)
        .order_by(messages.c.uid)
    )
    return list(connection.execute(query).scalars().all())


def other_generations(connection: Connection, mailbox_id: int, uidvalidity: int) -> list[StoredOrigin]:
    query = (
        select(messages.c.sha256, messages.c.uidvalidity, messages.c.uid)
        .where(messages.c.mailbox_id == mailbox_id, messages.c.uidvalidity != uidvalidity, PRESENT)
        .order_by(messages.c.uidvalidity, messages.c.uid)
    )
    return [StoredOrigin(*row) for row in connection.execute(query)]


def digests(connection: Connection, mailbox_id: int, after: tuple[int, int], limit: int) -> list[StoredDigest]:
    place = tuple_(messages.c.uidvalidity, messages.c.uid)
    query = (
        select(messages.c.sha256, messages.c.uidvalidity, messages.c.uid, messages.c.origin)
        .where(
            messages.c.mailbox_id == mailbox_id,
            place > tuple_(*map(literal, after)),
            messages.c.sha256 != "",  # of imported messages nobody may know it
        )
        .order_by(messages.c.uidvalidity, messages.c.uid)
        .limit(limit)
    )
    return [StoredDigest(*row) for row in connection.execute(query)]


def present_digests(
    connection: Connection, mailbox_id: int, uidvalidity: int, after: int, limit: int, besides: Iterable[int]
) -> list[PresentDigest]:
    columns = messages.c
    of_generation = (columns.mailbox_id == mailbox_id, columns.uidvalidity == uidvalidity, PRESENT)
    query = select(columns.uid, columns.size, columns.sha256).where(*of_generation, columns.sha256 != "")
    rows = connection.execute(query.where(columns.uid > after).order_by(columns.uid).limit(limit)).all()
    for part in UidSet(besides).chunks(_UIDS_A_STATEMENT):
        rows = [*connection.execute(query.where(columns.uid.in_(list(part)))).all(), *rows]
    return [PresentDigest(*row) for row in rows]


def equal(connection: Connection, mailbox_id: int) -> list[StoredOrigin]:
    here = (messages.c.mailbox_id == mailbox_id, PRESENT, messages.c.sha256 != "")
    shared = select(messages.c.sha256).where(*here).group_by(messages.c.sha256).having(func.count() > 1)
    query = (
        select(messages.c.sha256, messages.c.uidvalidity, messages.c.uid)
        .where(*here, messages.c.sha256.in_(shared))
        .order_by(messages.c.uidvalidity, messages.c.uid)
    )
    return [StoredOrigin(*row) for row in connection.execute(query)]


def count(connection: Connection, mailbox_id: int | None) -> int:
    query = select(func.count()).select_from(messages).where(PRESENT)
    if mailbox_id is not None:
        query = query.where(messages.c.mailbox_id == mailbox_id)
    return connection.execute(query).scalar_one()


def add(connection: Connection, rows: Sequence[MessageRow]) -> list[int]:
    """Insert those that are not there; the ids of all, in order."""
    # FTS5 writes out what it has gathered whenever a rowid is not above the last one: the oldest first costs half as
    # much as the order of a backlog.
    by_time = sorted(rows, key=lambda row: row.received_at)
    inserted = connection.execute(_inserting(connection.dialect.name), [_message_values(row) for row in by_time])
    fresh = {Slot(*row[1:]): row[0] for row in inserted}
    # After the insert, not before: a rebind that committed in between has left the former identity here, and the row
    # that was just made would be its double.
    doubles = lookup.former_ids(connection, fresh)
    if doubles:
        connection.execute(delete(messages).where(messages.c.id.in_([fresh.pop(slot) for slot in doubles])))
    # The last row of an identity that the batch holds twice is as good as the first: they are the same message.
    by_slot = {row.slot: row for row in rows}
    files = [values for slot, row_id in fresh.items() for values in _attachment_values(row_id, by_slot[slot])]
    if files:
        connection.execute(insert(connection.dialect.name, attachments), files)
    # What was imported has no event, and nothing is told of it.
    untold.add(connection, (row_id for slot, row_id in fresh.items() if by_slot[slot].published_at is not None))
    ids = fresh | doubles
    absent = by_slot.keys() - ids.keys()
    if absent:
        ids |= {slot: stored.id for slot, stored in lookup.known(connection, absent).items()}
    return [ids[row.slot] for row in rows]


@cache
def _inserting(dialect: str) -> Executable:
    return (
        insert(dialect, messages)
        .on_conflict_do_nothing(index_elements=slot_columns(messages))
        .returning(messages.c.id, *slot_columns(messages))
    )


def set_expunged(connection: Connection, marks: Iterable[tuple[Slot, datetime]]) -> None:
    """The first time that is told stays."""
    statement = (
        update(messages)
        .where(
            messages.c.mailbox_id == bindparam("in_mailbox"),
            messages.c.uidvalidity == bindparam("in_generation"),
            messages.c.uid == bindparam("with_uid"),
            PRESENT,
        )
        .values(expunged_at=bindparam("at"))
    )
    values = [
        {"in_mailbox": slot.mailbox_id, "in_generation": slot.uidvalidity, "with_uid": slot.uid, "at": at}
        for slot, at in marks
    ]
    if values:
        connection.execute(statement, values)


def set_flags(connection: Connection, changes: Iterable[tuple[Slot, Sequence[str], datetime]]) -> None:
    """Only what is later than what a row has: events may come twice, and in another order."""
    statement = (
        update(messages)
        .where(
            messages.c.mailbox_id == bindparam("in_mailbox"),
            messages.c.uidvalidity == bindparam("in_generation"),
            messages.c.uid == bindparam("with_uid"),
            messages.c.flags_at.is_(None) | (messages.c.flags_at < bindparam("since")),
        )
        .values(flags=bindparam("now"), flags_at=bindparam("since"))
    )
    # In one order, so that two transactions with the same rows wait for each other and not in a circle.
    values = [
        {
            "in_mailbox": slot.mailbox_id,
            "in_generation": slot.uidvalidity,
            "with_uid": slot.uid,
            "now": list(flags),
            "since": at,
        }
        for slot, flags, at in sorted(changes, key=lambda change: (change[0], change[2]))
    ]
    if values:
        connection.execute(statement, values)


def set_present(connection: Connection, row_ids: Sequence[int]) -> None:
    """The server has them after all."""
    connection.execute(update(messages).where(messages.c.id.in_(row_ids)).values(expunged_at=None))


def move(connection: Connection, moves: Sequence[Move]) -> list[int | None]:
    """I7. The row ids in order; None where neither identity has a row."""
    slots = {slot for each in moves for slot in (each.origin, each.target)}
    ids = lookup.ids(connection, slots)
    # A redelivery may come after the next rebind: then its target is a former identity, and moving the row would be
    # going back.
    ids |= lookup.former_ids(connection, slots - ids.keys())
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
        insert(connection.dialect.name, formers).on_conflict_do_nothing(),
        [{**_slot_values(each.origin), "message_id": row_id} for row_id, each in changes.items()],
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
        "search_parts": _search_parts(row, (part.filename for part in row.attachments)),
        "origin": row.origin,
        "to_names": row.to_names,
        "cc_names": row.cc_names,
        "email_id": row.email_id,
        "thread_id": row.thread_id,
        "labels": row.labels,
    }


def _search_parts(row: MessageRow | Row[Any], files: Iterable[str]) -> str:
    names = (*(row.to_names or ()), *(row.cc_names or ()))
    people = (row.from_name, row.from_email, *row.to_emails, *row.cc_emails, *names)
    return parts.of_message(row.subject, people, files, row.body_text if row.search_text is None else row.search_text)


def unsearched(connection: Connection, before: int | None, limit: int) -> list[int]:
    """The ids of rows without `search_parts`, the newest first."""
    query = select(messages.c.id).where(messages.c.search_parts.is_(None), messages.c.pruned_at.is_(None))
    if before is not None:
        query = query.where(messages.c.id < before)
    return list(connection.execute(query.order_by(messages.c.id.desc()).limit(limit)).scalars())


def count_unsearched(connection: Connection) -> int:
    lacking = (messages.c.search_parts.is_(None), messages.c.pruned_at.is_(None))
    return connection.execute(select(func.count()).select_from(messages).where(*lacking)).scalar_one()


def make_searchable(connection: Connection, row_ids: Sequence[int]) -> None:
    """Set the `search_parts` of rows that have none."""
    files = defaultdict(list)
    names = select(attachments.c.message_id, attachments.c.filename).where(attachments.c.message_id.in_(row_ids))
    for message_id, filename in connection.execute(names.order_by(attachments.c.id)):
        files[message_id].append(filename)
    # A large text is not read whole for its beginning.
    text = (func.substr(column, 1, parts.LOOKED_AT).label(column.name) for column in _TEXTS)
    query = select(*_FIELDS, *text).where(messages.c.id.in_(row_ids), messages.c.search_parts.is_(None))
    values = [
        {"row_id": row.id, "made": _search_parts(row, files[row.id])}
        for row in connection.execute(query.order_by(messages.c.received_at))
    ]
    if values:
        statement = update(messages).where(messages.c.id == bindparam("row_id"), messages.c.search_parts.is_(None))
        connection.execute(statement.values(search_parts=bindparam("made")), values)


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
