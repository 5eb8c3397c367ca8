"""Statements that read messages for people and programs. A page costs two, however long it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, cast, literal, select, tuple_

from mailcore.imap.flag import ANSWERED, FLAGGED, SEEN
from mailcore.store import search
from mailcore.store.page import (
    AttachmentDetail,
    Cursor,
    MessageDetail,
    MessageFilter,
    MessagePage,
    MessageSummary,
    StoredAt,
)
from mailcore.store.query import Search, Term, understand
from mailcore.store.schema import UtcDateTime, attachments, mailboxes, messages

_summary: Final = (
    messages.c.id,
    mailboxes.c.account,
    mailboxes.c.mailbox,
    messages.c.uidvalidity,
    messages.c.uid,
    messages.c.message_id,
    messages.c.subject,
    messages.c.from_name,
    messages.c.from_email,
    messages.c.to_emails,
    messages.c.received_at,
    messages.c.sent_at,
    messages.c.stored_at,
    messages.c.expunged_at,
    messages.c.size,
    messages.c.flags,
    messages.c.flags_at,
    messages.c.has_attachments,
)
_details: Final = (
    messages.c.cc_emails,
    messages.c.reply_to,
    messages.c.in_reply_to,
    messages.c.references_ids.label("references"),
    messages.c.headers,
    messages.c.body_text,
    messages.c.body_html,
    messages.c.sha256,
    messages.c.defects,
    messages.c.kind,
    messages.c.found_by,
    messages.c.pushed_at,
    messages.c.published_at,
    messages.c.stream_seq,
    messages.c.origin,
)
_kept: Final = messages.c.pruned_at.is_(None)
_with_mailbox: Final = messages.join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)


def page(connection: Connection, wanted: MessageFilter, cursor: Cursor | None, limit: int) -> MessagePage:
    asked = understand(wanted)
    boxes = [] if asked.impossible else _mailbox_ids(connection, asked)
    if boxes == []:
        return MessagePage((), None)
    build = _on_sqlite if connection.dialect.name == "sqlite" else _on_postgres
    found = connection.execute(build(asked.filter, asked.terms, boxes, cursor).limit(limit + 1)).all()
    summaries = tuple(_read_summary(row) for row in found[:limit])
    last = summaries[-1] if len(found) > limit else None
    return MessagePage(summaries, Cursor(last.received_at, last.id) if last else None)


def _mailbox_ids(connection: Connection, asked: Search) -> list[int] | None:
    """None for all of them."""
    account, mailbox = asked.filter.account, asked.filter.mailbox
    if account is None and mailbox is None and not asked.accounts and not asked.mailboxes:
        return None
    rows = connection.execute(select(mailboxes.c.id, mailboxes.c.account, mailboxes.c.mailbox)).all()
    chosen = [
        row.id
        for row in rows
        if account in (None, row.account)
        and mailbox in (None, row.mailbox)
        and all(each.admits(row.account) for each in asked.accounts)
        and all(each.admits(row.mailbox) for each in asked.mailboxes)
    ]
    return None if len(chosen) == len(rows) else chosen


def _on_sqlite(
    wanted: MessageFilter, terms: Sequence[Term], boxes: list[int] | None, cursor: Cursor | None
) -> Select[Any]:
    many = boxes if boxes is not None and len(boxes) > 1 else None
    if not (terms or many or wanted.has_attachments is not None):
        return _newest(wanted, boxes, cursor)
    index = search.on_sqlite
    # Which of the two tables leads is not left to the planner: the index gives the order.
    query = (
        select(*_summary)
        .select_from(index.join(_with_mailbox, messages.c.id == search.sqlite_message_id))
        .where(search.matches_on_sqlite(terms, boxes, wanted.has_attachments))
        .order_by(index.c.rowid.desc())
    )
    if wanted.since is not None:
        query = query.where(index.c.rowid >= search.rowid(wanted.since, 0), messages.c.received_at >= wanted.since)
    if wanted.until is not None:
        # The index knows seconds: what lies in the last one is told apart by the row.
        end = search.rowid(wanted.until, (1 << search.ID_BITS) - 1)
        query = query.where(index.c.rowid <= end, messages.c.received_at < wanted.until)
    if cursor is not None:
        query = query.where(index.c.rowid < search.rowid(cursor.received_at, cursor.id))
    return _shown(query, wanted)


def _on_postgres(
    wanted: MessageFilter, terms: Sequence[Term], boxes: list[int] | None, cursor: Cursor | None
) -> Select[Any]:
    query = _newest(wanted, boxes, cursor)
    if wanted.has_attachments is not None:
        query = query.where(messages.c.has_attachments.is_(wanted.has_attachments))
    if terms:
        query = query.where(search.matches_on_postgres(terms))
    return query


def _newest(wanted: MessageFilter, boxes: list[int] | None, cursor: Cursor | None) -> Select[Any]:
    query = select(*_summary).select_from(_with_mailbox).order_by(messages.c.received_at.desc(), messages.c.id.desc())
    if boxes is not None:
        query = query.where(messages.c.mailbox_id.in_(boxes))
    if wanted.since is not None:
        query = query.where(messages.c.received_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(messages.c.received_at < wanted.until)
    if cursor is not None:
        behind = tuple_(literal(cursor.received_at, UtcDateTime), literal(cursor.id))
        query = query.where(tuple_(messages.c.received_at, messages.c.id) < behind)
    return _shown(query, wanted)


def _shown(query: Select[Any], wanted: MessageFilter) -> Select[Any]:
    """What holds something yet, and of that what is present or gone, as wanted."""
    if wanted.expunged is not None:
        gone = messages.c.expunged_at
        query = query.where(gone.is_not(None) if wanted.expunged else gone.is_(None))
    for name, set_ in ((SEEN, wanted.seen), (FLAGGED, wanted.flagged), (ANSWERED, wanted.answered)):
        if set_ is not None:
            query = query.where(has_flag(name) if set_ else ~has_flag(name))
    # Last, as SQLite looks at conditions in this order: to find a column at the end of a row it reads a long header.
    return query.where(_kept)


def has_flag(name: str) -> ColumnElement[bool]:
    """Whether a message has the system flag `name`. In the JSON text of either database it stands as a string."""
    return cast(messages.c.flags, Text).contains(json.dumps(name), autoescape=True)


def message(connection: Connection, message_id: int) -> MessageDetail | None:
    query: Select[Any] = (
        select(*_summary, *_details).select_from(_with_mailbox).where(messages.c.id == message_id, _kept)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    parts = connection.execute(
        select(attachments).where(attachments.c.message_id == message_id).order_by(attachments.c.id)
    )
    more = {column.name: getattr(row, column.name) for column in _details}
    for name in ("cc_emails", "reply_to", "references", "defects"):
        more[name] = tuple(more[name])
    more["headers"] = tuple((name, value) for name, value in more["headers"])
    return MessageDetail(
        summary=_read_summary(row), attachments=tuple(AttachmentDetail(**part._mapping) for part in parts), **more
    )


def attachment(connection: Connection, attachment_id: int) -> AttachmentDetail | None:
    row = connection.execute(select(attachments).where(attachments.c.id == attachment_id)).one_or_none()
    return None if row is None else AttachmentDetail(**row._mapping)


def stored_since(connection: Connection, since: datetime, limit: int) -> list[StoredAt]:
    query = (
        select(messages.c.stored_at, messages.c.pushed_at, messages.c.kind, messages.c.size)
        .where(messages.c.stored_at >= since, _kept)
        .order_by(messages.c.stored_at.desc())
        .limit(limit)
    )
    return [StoredAt(*row) for row in connection.execute(query)]


def _read_summary(row: Row[Any]) -> MessageSummary:
    values = {column.name: getattr(row, column.name) for column in _summary}
    return MessageSummary(**{**values, "to_emails": tuple(row.to_emails), "flags": tuple(row.flags)})
