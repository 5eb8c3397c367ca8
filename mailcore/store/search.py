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

from sqlalchemy import BigInteger, ColumnElement, String, and_, cast, column, func, literal_column, not_, table
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from mailcore.store.query import Place, Term
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
_SIMPLE: Final[ColumnElement[Any]] = literal_column("'simple'::regconfig")
_UNINDEXED: Final[dict[Place, ColumnElement[str]]] = {
    Place.SUBJECT: messages.c.subject,
    Place.RECIPIENTS: cast(messages.c.to_emails, String).op("||")(" ").op("||")(cast(messages.c.cc_emails, String)),
}
_LONGEST_FIELD: Final = 50_000
# The message of a row of the index.
sqlite_message_id: Final = on_sqlite.c.rowid.op("&")((1 << ID_BITS) - 1)


def rowid(received_at: datetime, message_id: int) -> int:
    """Of a message in the SQLite index; the triggers compute the same. Pure."""
    seconds = (received_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1
    return (max(-_FURTHEST, min(_FURTHEST - 1, int(seconds))) << ID_BITS) + message_id


def matches_on_sqlite(
    terms: Sequence[Term],
    mailbox_ids: Sequence[int] | None = None,
    has_attachments: bool | None = None,
) -> ColumnElement[bool]:
    """At least one of the arguments must restrict."""
    parts = []
    if mailbox_ids is not None:
        parts.append("facets : (" + " OR ".join(f"mailbox{each}" for each in mailbox_ids) + ")")
    if has_attachments is not None:
        parts.append("facets : " + ("attachments" if has_attachments else "plain"))
    parts += [_fts5(each) for each in terms if not each.excluded]
    # NOT needs something on its left: each message has one of these.
    wanted = " AND ".join(parts) if parts else "facets : (attachments OR plain)"
    excluded = [_fts5(each) for each in terms if each.excluded]
    if excluded:
        wanted = f"({wanted}) NOT ({' OR '.join(excluded)})"
    return column(NAME, String).op("MATCH")(wanted)


def _fts5(term: Term) -> str:
    where = "- facets" if term.place is Place.ANYWHERE else term.place.value
    return f'{where} : ("{" ".join(term.phrase.words)}"{" *" if term.phrase.prefix else ""})'


def matches_on_postgres(terms: Sequence[Term]) -> ColumnElement[bool]:
    conditions = [_contains(each) for each in terms]
    return and_(on_postgres.c.message_id == messages.c.id, *conditions)


def _contains(term: Term) -> ColumnElement[bool]:
    wanted = _tsquery(term.phrase)
    indexed = on_postgres.c.sender if term.place is Place.SENDER else on_postgres.c.document
    condition: ColumnElement[bool] = indexed.bool_op("@@")(wanted)
    if term.place in _UNINDEXED:
        # The index says which messages have it anywhere; of these the row itself tells where.
        text = func.left(_fold(func.left(_UNINDEXED[term.place], _LONGEST_FIELD, type_=String)), _LONGEST_FIELD)
        condition = and_(condition, func.to_tsvector(_SIMPLE, text, type_=TSVECTOR).bool_op("@@")(wanted))
    return not_(condition) if term.excluded else condition


def _tsquery(phrase: Phrase) -> ColumnElement[Any]:
    whole, last = (phrase.words[:-1], phrase.words[-1]) if phrase.prefix else (phrase.words, "")
    parts = []
    if whole:
        parts.append(func.phraseto_tsquery(_SIMPLE, _fold(" ".join(whole)), type_=TSQUERY))
    if last:
        parts.append(func.to_tsquery(_SIMPLE, func.quote_literal(_fold(last)).op("||")(":*"), type_=TSQUERY))
    return parts[0] if len(parts) == 1 else parts[0].op("<->")(parts[1])


def _fold(text: str | ColumnElement[str]) -> ColumnElement[str]:
    return func.mailbox_app_fold(cast(text, String), type_=String)
