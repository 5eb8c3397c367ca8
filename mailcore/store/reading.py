"""Statements that read messages for people and programs. A page costs three, however long it is,
and more where PostgreSQL is asked first how many there may be: one or two for each place of which words are wanted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    not_,
    null,
    select,
    tuple_,
)

from mailcore.imap.flag import ANSWERED, FLAGGED, SEEN
from mailcore.store import headers, search
from mailcore.store.hits import Hits
from mailcore.store.page import (
    AttachmentDetail,
    Cursor,
    ListedMessage,
    MessageDetail,
    MessageFilter,
    MessagePage,
    MessageSummary,
    Portion,
    StoredAt,
)
from mailcore.store.query import Search, Term, understand
from mailcore.store.schema import UtcDateTime, attachments, has_flag, mailboxes, messages
from mailcore.store.snippet import LOOKED_AT, SEARCHED, snippet

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
    messages.c.sha256,
    messages.c.defects,
    messages.c.kind,
    messages.c.found_by,
    messages.c.pushed_at,
    messages.c.published_at,
    messages.c.stream_seq,
    messages.c.origin,
    messages.c.to_names,
    messages.c.cc_names,
    messages.c.email_id,
    messages.c.thread_id,
    messages.c.labels,
)
_long: Final = (messages.c.headers, messages.c.body_text, messages.c.body_html)
_text: Final = func.coalesce(messages.c.search_text, messages.c.body_text)
_part: Final = tuple(attachments.c[each.name] for each in fields(AttachmentDetail))
_MOST_NAMES: Final = 20
_FEW: Final = 5_000
_LONGEST_NAME: Final = 200

_kept: Final = messages.c.pruned_at.is_(None)
_with_mailbox: Final = messages.join(mailboxes, mailboxes.c.id == messages.c.mailbox_id)


def page(
    connection: Connection,
    wanted: MessageFilter,
    cursor: Cursor | None,
    limit: int,
    oldest_first: bool,
    snippets: bool,
) -> MessagePage:
    terms = understand(wanted).terms if snippets else ()
    hits = Hits(terms) if terms else None
    beginning = func.substr(_text, 1, SEARCHED if hits else LOOKED_AT) if snippets else null()
    columns = (*_summary, beginning.label("beginning"))
    matching = _matching(connection, wanted, columns)
    if matching is None:
        return MessagePage((), None)
    found = connection.execute(matching.page(cursor, oldest_first).limit(limit + 1)).all()
    shown = found[:limit]
    names = _attachment_names(connection, [row.id for row in shown if row.has_attachments])
    listed = tuple(
        ListedMessage(
            **_facts(row),
            attachment_names=tuple(names[row.id]),
            snippet=snippet(row.beginning, hits) if snippets else None,
        )
        for row in shown
    )
    last = listed[-1] if len(found) > limit else None
    return MessagePage(listed, Cursor(last.received_at, last.id) if last else None)


def total(connection: Connection, wanted: MessageFilter, most: int | None) -> int:
    # Without a column of a row or of its mailbox: what an index tells alone is read from there.
    matching = _matching(connection, wanted, (literal_column("1").label("one"),), messages, in_order=False)
    if matching is None:
        return 0
    some = matching.query.limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


@dataclass(frozen=True, slots=True)
class _Matching:
    """What is wanted, and what tells its order: the rowid of SQLite's search index, or the rows themselves."""

    query: Select[Any]
    by_index: bool

    def page(self, cursor: Cursor | None, oldest_first: bool) -> Select[Any]:
        row = messages.c.received_at, messages.c.id
        key = (search.on_sqlite.c.rowid,) if self.by_index else row
        query = self.query.order_by(*(one.asc() if oldest_first else one.desc() for one in key))
        if cursor is None:
            return query
        here: ColumnElement[Any] = tuple_(*row)
        last: ColumnElement[Any] = tuple_(literal(cursor.received_at, UtcDateTime), literal(cursor.id))
        if self.by_index:
            here, last = search.on_sqlite.c.rowid, literal(search.rowid(cursor.received_at, cursor.id))
        return query.where(here > last if oldest_first else here < last)


def _matching(
    connection: Connection,
    wanted: MessageFilter,
    columns: Sequence[Any],
    rows: FromClause = _with_mailbox,
    *,
    in_order: bool = True,
) -> _Matching | None:
    """None when it is known already that there is none. `in_order`: the first ones in their order are wanted."""
    asked = understand(wanted)
    boxes = [] if asked.impossible else _mailbox_ids(connection, asked)
    if boxes == []:
        return None
    wanted = asked.filter
    if connection.dialect.name == "sqlite":
        many = boxes if boxes is not None and len(boxes) > 1 else None
        if asked.terms or many or wanted.has_attachments is not None:
            return _Matching(_by_index(wanted, asked.terms, boxes, columns, rows), by_index=True)
        query = _by_row(wanted, boxes, columns, rows, connection.dialect.name)
        if wanted.stored_since is not None and _few_since(connection, wanted.stored_since):
            # SQLite takes the index that has the order for the best one, and walks all that was received.
            query = query.where(func.likelihood(messages.c.stored_at >= wanted.stored_since, literal_column("0.0001")))
        return _Matching(query, by_index=False)
    query = _by_row(wanted, boxes, columns, rows, connection.dialect.name)
    if wanted.has_attachments is not None:
        query = query.where(messages.c.has_attachments.is_(wanted.has_attachments))
    if asked.terms:
        # PostgreSQL guesses how many have it: for a rare word it would walk all messages, for a frequent one sort them.
        few = search.few_on_postgres(connection, asked.terms)
        search.read_on_postgres(connection, walking=few is None and in_order, counting=not in_order)
        query = query.where(search.matches_on_postgres(asked.terms, few))
    return _Matching(query, by_index=False)


def _few_since(connection: Connection, since: datetime) -> bool:
    """Whether so few were stored since then that sorting them is nothing."""
    some = select(messages.c.id).where(messages.c.stored_at >= since, _kept).limit(_FEW + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() <= _FEW


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


def _by_index(
    wanted: MessageFilter, terms: Sequence[Term], boxes: list[int] | None, columns: Sequence[Any], rows: FromClause
) -> Select[Any]:
    """On SQLite. Which of the two tables leads is not left to the planner: the index gives the order."""
    index = search.on_sqlite
    query = (
        select(*columns)
        .select_from(index.join(rows, messages.c.id == search.sqlite_message_id))
        .where(search.matches_on_sqlite(terms, boxes, wanted.has_attachments))
    )
    if wanted.since is not None:
        query = query.where(index.c.rowid >= search.rowid(wanted.since, 0), messages.c.received_at >= wanted.since)
    if wanted.until is not None:
        # The index knows seconds: what lies in the last one is told apart by the row.
        end = search.rowid(wanted.until, (1 << search.ID_BITS) - 1)
        query = query.where(index.c.rowid <= end, messages.c.received_at < wanted.until)
    return _shown(query, wanted, "sqlite")


def _by_row(
    wanted: MessageFilter, boxes: list[int] | None, columns: Sequence[Any], rows: FromClause, dialect: str
) -> Select[Any]:
    query = select(*columns).select_from(rows)
    if boxes is not None:
        query = query.where(messages.c.mailbox_id.in_(boxes))
    if wanted.since is not None:
        query = query.where(messages.c.received_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(messages.c.received_at < wanted.until)
    return _shown(query, wanted, dialect)


def _shown(query: Select[Any], wanted: MessageFilter, dialect: str) -> Select[Any]:
    """What holds something yet, and of that what is present or gone, as wanted."""
    if wanted.message_id:
        query = query.where(messages.c.message_id.in_((wanted.message_id, f"<{wanted.message_id}>")))
    if wanted.stored_since is not None:
        query = query.where(messages.c.stored_at >= wanted.stored_since)
    if wanted.expunged is not None:
        gone = messages.c.expunged_at
        query = query.where(gone.is_not(None) if wanted.expunged else gone.is_(None))
    for name, set_ in ((SEEN, wanted.seen), (FLAGGED, wanted.flagged), (ANSWERED, wanted.answered)):
        if set_ is not None:
            has_it = literal_column(has_flag(name, dialect), Boolean)
            query = query.where(has_it if set_ else not_(has_it))
    # Last, as SQLite looks at conditions in this order: to find a column at the end of a row it reads a long header.
    return query.where(_kept)


def _attachment_names(connection: Connection, message_ids: Sequence[int]) -> defaultdict[int, list[str]]:
    """By message, the first of those that do not stand in its text."""
    names: defaultdict[int, list[str]] = defaultdict(list)
    if not message_ids:
        return names
    place = func.row_number().over(partition_by=attachments.c.message_id, order_by=attachments.c.id)
    parts = (
        select(
            attachments.c.message_id,
            func.substr(attachments.c.filename, 1, _LONGEST_NAME).label("name"),
            place.label("place"),
        )
        .where(attachments.c.message_id.in_(message_ids), attachments.c.inline.is_(False))
        .subquery()
    )
    query = select(parts.c.message_id, parts.c.name).where(parts.c.place <= _MOST_NAMES)
    for message_id, name in connection.execute(query.order_by(parts.c.message_id, parts.c.place)):
        names[message_id].append(name)
    return names


def summaries(connection: Connection, message_ids: Sequence[int]) -> dict[int, MessageSummary]:
    """Those that are there, by row id."""
    query: Select[Any] = select(*_summary).select_from(_with_mailbox).where(messages.c.id.in_(message_ids), _kept)
    return {row.id: MessageSummary(**_facts(row)) for row in connection.execute(query)}


def message(connection: Connection, message_id: int, portion: Portion | None) -> MessageDetail | None:
    long = _long if portion is None else _beginnings(portion)
    query: Select[Any] = (
        select(*_summary, *_details, *long).select_from(_with_mailbox).where(messages.c.id == message_id, _kept)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    parts = connection.execute(select(*_part).where(attachments.c.message_id == message_id).order_by(attachments.c.id))
    more = {column.name: getattr(row, column.name) for column in _details}
    for name in ("cc_emails", "reply_to", "references", "defects"):
        more[name] = tuple(more[name])
    for name in ("to_names", "cc_names", "labels"):
        more[name] = None if more[name] is None else tuple(more[name])
    head = row.headers if portion is None else headers.beginning(row.headers)
    return MessageDetail(
        summary=MessageSummary(**_facts(row)),
        headers=tuple((name, value) for name, value in head),
        body_text=row.body_text,
        body_html=row.body_html,
        attachments=tuple(AttachmentDetail(*part) for part in parts),
        **more,
    )


def _beginnings(portion: Portion) -> Sequence[ColumnElement[Any]]:
    """The columns of `_long`, cut before they are sent and decoded; the headers as text."""
    lengths = (portion.headers, portion.text, portion.html)
    return [
        func.substr(cast(column, Text), 1, length).label(column.name)
        for column, length in zip(_long, lengths, strict=True)
    ]


def attachment(connection: Connection, attachment_id: int) -> AttachmentDetail | None:
    row = connection.execute(select(*_part).where(attachments.c.id == attachment_id)).one_or_none()
    return None if row is None else AttachmentDetail(*row)


def stored_since(connection: Connection, since: datetime, limit: int) -> list[StoredAt]:
    query = (
        select(messages.c.stored_at, messages.c.pushed_at, messages.c.kind, messages.c.size)
        .where(messages.c.stored_at >= since, _kept)
        .order_by(messages.c.stored_at.desc())
        .limit(limit)
    )
    return [StoredAt(*row) for row in connection.execute(query)]


def _facts(row: Row[Any]) -> dict[str, Any]:
    """The columns of `_summary`."""
    values = {column.name: getattr(row, column.name) for column in _summary}
    return {**values, "to_emails": tuple(row.to_emails), "flags": tuple(row.flags)}
