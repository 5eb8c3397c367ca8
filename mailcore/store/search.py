"""Full text, which the two databases do in their own ways, found with the same words.

Triggers keep the index (migrations 0002 and 0003), so whoever writes messages need not know of it. Subject, sender and
recipients are indexed, and of the text the first 100,000 characters; case and accents do not matter.

SQLite: a contentless FTS5 table. Its rowid is made of the time of receipt and the message's id, so that it gives the
newest first without sorting, and stops when a page is full. Its column `facets` has the mailbox and whether there are
attachments, so that a narrow filter on a frequent word walks no rows. It has indexes of the beginnings of words, up to
four letters: a shorter beginning would else be looked for in all words.
PostgreSQL: a table of tsvectors with GIN indexes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, String, and_, cast, column, func, literal, table
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from mailcore.store.schema import messages
from mailcore.store.words import Phrase

NAME: Final = "mailbox_app_mailsearch"
# The low bits of the rowid are the message's id, the others seconds since 1970: until 2514, 536 million messages.
ID_BITS: Final = 29
_FURTHEST: Final = 1 << 34

on_sqlite: Final = table(NAME, column("rowid", BigInteger))
on_postgres: Final = table(
    NAME, column("message_id", BigInteger), column("document", TSVECTOR), column("sender", TSVECTOR)
)
# The message of a row of the index.
sqlite_message_id: Final = on_sqlite.c.rowid.op("&")((1 << ID_BITS) - 1)


def rowid(received_at: datetime, message_id: int) -> int:
    """Of a message in the SQLite index; the triggers compute the same. Pure."""
    seconds = (received_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1
    return (max(-_FURTHEST, min(_FURTHEST - 1, int(seconds))) << ID_BITS) + message_id


def matches_on_sqlite(
    texts: Sequence[Phrase],
    senders: Sequence[Phrase],
    mailbox_ids: Sequence[int] | None = None,
    has_attachments: bool | None = None,
) -> ColumnElement[bool]:
    """At least one of the arguments must restrict."""
    parts = []
    if mailbox_ids is not None:
        parts.append("facets : (" + " OR ".join(f"mailbox{each}" for each in mailbox_ids) + ")")
    if has_attachments is not None:
        parts.append("facets : " + ("attachments" if has_attachments else "plain"))
    if senders:
        parts.append(f"sender : ({_fts5(senders)})")
    if texts:
        parts.append(f"- facets : ({_fts5(texts)})")
    return column(NAME, String).op("MATCH")(" AND ".join(parts))


def _fts5(wanted: Sequence[Phrase]) -> str:
    return " AND ".join(f'"{" ".join(each.words)}"' + (" *" if each.prefix else "") for each in wanted)


def matches_on_postgres(texts: Sequence[Phrase], senders: Sequence[Phrase]) -> ColumnElement[bool]:
    conditions = [on_postgres.c.message_id == messages.c.id]
    conditions += [on_postgres.c.document.op("@@")(_tsquery(each)) for each in texts]
    conditions += [on_postgres.c.sender.op("@@")(_tsquery(each)) for each in senders]
    return and_(*conditions)


def _tsquery(phrase: Phrase) -> ColumnElement[Any]:
    simple = literal("simple").op("::")(column("regconfig"))
    whole, last = (phrase.words[:-1], phrase.words[-1]) if phrase.prefix else (phrase.words, "")
    parts = []
    if whole:
        parts.append(func.phraseto_tsquery(simple, _fold(" ".join(whole)), type_=TSQUERY))
    if last:
        parts.append(func.to_tsquery(simple, func.quote_literal(_fold(last)).op("||")(":*"), type_=TSQUERY))
    return parts[0] if len(parts) == 1 else parts[0].op("<->")(parts[1])


def _fold(text: str) -> ColumnElement[str]:
    return func.mailbox_app_fold(cast(text, String), type_=String)
