"""Messages by identity: one statement for as many as both databases take in one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Executable, Table, bindparam, select, tuple_, union_all

from mailcore.store.row import AttachmentRow, RowFlags, Slot, StoredMessage
from mailcore.store.schema import attachments, formers, messages

# Both databases take some 32,000 parameters in a statement.
_UIDS_A_STATEMENT: Final = 10_000

PRESENT: Final = messages.c.expunged_at.is_(None)


def slot_columns(table: Table) -> tuple[Column[int], Column[int], Column[int]]:
    """The identity, in the order of `Slot`."""
    return table.c.mailbox_id, table.c.uidvalidity, table.c.uid


def _named(table: Table) -> ColumnElement[bool]:
    """The rows that a group of `_groups` names; the UNIQUE index serves it."""
    mailbox, generation, uid = slot_columns(table)
    return (
        (mailbox == bindparam("mailbox"))
        & (generation == bindparam("generation"))
        & uid.in_(bindparam("uids", expanding=True))
    )


_facts: Final = (
    messages.c.id,
    messages.c.size,
    messages.c.sha256,
    messages.c.stored_at,
    messages.c.expunged_at,
    messages.c.defects,
    messages.c.subject,
    messages.c.from_name,
    messages.c.from_email,
    messages.c.to_emails,
    messages.c.cc_emails,
    messages.c.sent_at,
    messages.c.message_id,
    messages.c.body_text != "",
    messages.c.body_html != "",
    messages.c.origin,
    messages.c.email_id,
    messages.c.thread_id,
    messages.c.labels,
)
_parts: Final = (
    select(attachments.c.message_id, *(attachments.c[field.name] for field in fields(AttachmentRow)))
    .where(attachments.c.message_id.in_(bindparam("messages", expanding=True)))
    .order_by(attachments.c.message_id, attachments.c.id)
)
_at_former: Final = formers.join(messages, formers.c.message_id == messages.c.id)
# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_known: Final = union_all(
    select(*_facts, *slot_columns(messages)).where(_named(messages)),
    select(*_facts, *slot_columns(formers)).select_from(_at_former).where(_named(formers)),
)
_by_id: Final = select(*_facts).where(messages.c.id.in_(bindparam("messages", expanding=True)))
_uids: Final = select(messages.c.uid).where(_named(messages), PRESENT)
_flags: Final = select(messages.c.uid, messages.c.flags, messages.c.flags_at).where(_named(messages), PRESENT)
_ids: Final = select(*slot_columns(messages), messages.c.id).where(_named(messages))
_former_ids: Final = select(*slot_columns(formers), formers.c.message_id).where(_named(formers))


def stored_among(connection: Connection, slots: Iterable[Slot]) -> set[int]:
    """The UIDs of those that are stored and not expunged."""
    found: set[int] = set()
    for group in _groups(slots):
        found.update(connection.execute(_uids, group).scalars())
    return found


def flags_of(connection: Connection, slots: Iterable[Slot]) -> dict[int, RowFlags]:
    """By UID, of those that are stored and not expunged."""
    found: dict[int, RowFlags] = {}
    for group in _groups(slots):
        found.update((uid, RowFlags(tuple(flags), at)) for uid, flags, at in connection.execute(_flags, group))
    return found


def present(connection: Connection, mailbox_id: int, after: Slot, limit: int) -> list[Slot]:
    columns = slot_columns(messages)
    behind = tuple_(*columns[1:]) > tuple_(after.uidvalidity, after.uid)
    query = select(*columns).where(messages.c.mailbox_id == mailbox_id, PRESENT, behind)
    return [Slot(*row) for row in connection.execute(query.order_by(*columns[1:]).limit(limit))]


def not_empty(connection: Connection, mailbox_ids: Iterable[int]) -> set[int]:
    query = select(messages.c.mailbox_id).where(messages.c.mailbox_id.in_(list(mailbox_ids)), PRESENT).distinct()
    return set(connection.execute(query).scalars())


def known(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, StoredMessage]:
    """Those that have a row, under this identity or, if it is a former one, under their present one."""
    found: dict[Slot, StoredMessage] = {}
    for group in _groups(slots):
        rows = connection.execute(_known, group).all()
        parts = _attachments(connection, {row[0] for row in rows})
        found.update((Slot(*row[-3:]), _stored(row, parts[row[0]])) for row in rows)
    return found


def by_id(connection: Connection, message_ids: Sequence[int]) -> dict[int, StoredMessage]:
    rows = connection.execute(_by_id, {"messages": message_ids}).all()
    parts = _attachments(connection, message_ids)
    return {row[0]: _stored(row, parts[row[0]]) for row in rows}


def _attachments(connection: Connection, message_ids: Iterable[int]) -> defaultdict[int, list[AttachmentRow]]:
    """By the row of their message, in their order."""
    found: defaultdict[int, list[AttachmentRow]] = defaultdict(list)
    wanted = sorted(message_ids)
    for start in range(0, len(wanted), _UIDS_A_STATEMENT):
        chosen = {"messages": wanted[start : start + _UIDS_A_STATEMENT]}
        for row in connection.execute(_parts, chosen):
            found[row[0]].append(AttachmentRow(*row[1:]))
    return found


def ids(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, int]:
    """The row ids of those that have a row under this identity."""
    return _pairs(connection, _ids, slots)


def former_ids(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, int]:
    """The row ids of those whose identity is a former one."""
    return _pairs(connection, _former_ids, slots)


def _pairs(connection: Connection, query: Executable, slots: Iterable[Slot]) -> dict[Slot, int]:
    found: dict[Slot, int] = {}
    for group in _groups(slots):
        found.update((Slot(*row[:3]), row[3]) for row in connection.execute(query, group))
    return found


def _groups(slots: Iterable[Slot]) -> Iterator[dict[str, object]]:
    """The parameters of `_named`: all slots, each group short enough for one statement."""
    groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for slot in slots:
        groups[slot.mailbox_id, slot.uidvalidity].append(slot.uid)
    for (mailbox_id, uidvalidity), uids in groups.items():
        for start in range(0, len(uids), _UIDS_A_STATEMENT):
            part = uids[start : start + _UIDS_A_STATEMENT]
            yield {"mailbox": mailbox_id, "generation": uidvalidity, "uids": part}


def _stored(row: Sequence[Any], parts: Sequence[AttachmentRow]) -> StoredMessage:
    return StoredMessage(
        id=row[0],
        size=row[1],
        sha256=row[2],
        stored_at=row[3],
        expunged_at=row[4],
        defects=tuple(row[5]),
        subject=row[6],
        from_name=row[7],
        from_email=row[8],
        to_emails=tuple(row[9]),
        cc_emails=tuple(row[10]),
        sent_at=row[11],
        message_id=row[12],
        has_text=row[13],
        has_html=row[14],
        origin=row[15],
        email_id=row[16],
        thread_id=row[17],
        labels=None if row[18] is None else tuple(row[18]),
        attachments=tuple(parts),
    )
