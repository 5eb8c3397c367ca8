"""Full text, which the two databases do in their own ways, found with the same words.

Triggers keep the index (migrations 0002, 0003 and 0012), so whoever writes messages need not know of it. Subject,
sender and recipients are indexed, of the text the first 100,000 characters, and beside it what stands in
`search_parts`: names of files and parts of words (mailcore/store/parts.py). Case and accents do not matter.

SQLite: a contentless FTS5 table. Its rowid is made of the time of receipt and the message's id, so that it gives the
newest first without sorting, and stops when a page is full. Its column `facets` has the mailbox and whether there are
attachments, so that a narrow filter on a frequent word walks no rows. It has indexes of the beginnings of words, up to
four letters: a shorter beginning would else be looked for in all words.
PostgreSQL: a table of tsvectors with GIN indexes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    any_,
    cast,
    column,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR

from mailcore.store.parts import tokens
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
_SHOWN: Final[dict[Place, ColumnElement[str]]] = {
    Place.SENDER: messages.c.from_name.op("||")(" ").op("||")(messages.c.from_email),
    Place.RECIPIENTS: reduce(
        lambda one, other: one.op("||")(" ").op("||")(other),
        (
            func.coalesce(cast(messages.c[name], String), "", type_=String)
            for name in ("to_emails", "cc_emails", "to_names", "cc_names")
        ),
    ),
    Place.SUBJECT: messages.c.subject,
}
_LONGEST_FIELD: Final = 50_000
# So many messages are sorted sooner than all are walked for them.
_FEW: Final = 3_000
_ROWS: Final = re.compile(r" rows=(\d+) ")
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
    there = [
        not_(_stands(each, func.instr)) if each.excluded else _stands(each, func.instr)
        for each in terms
        if _has_doubts(each)
    ]
    return and_(column(NAME, String).op("MATCH")(wanted), *there)


def _fts5(term: Term) -> str:
    where = "- facets" if term.place is Place.ANYWHERE else term.place.value
    whole = f'{where} : ("{" ".join(term.phrase.words)}"{" *" if term.phrase.prefix else ""})'
    within = tokens(term.phrase)
    if not within or (term.excluded and _has_doubts(term)):
        return whole
    parts = (f'"{each.text}"{" *" if each.prefix else ""}' for each in within)
    return f"({whole} OR - facets : ({' AND '.join(parts)}))"


def few_on_postgres(connection: Connection, terms: Sequence[Term]) -> list[int] | None:
    """The ids of messages in which the index has all that is wanted, in whatever place; None where they are many."""
    wanted = [_indexed(each) for each in terms if not each.excluded]
    if not wanted:
        return None
    every = reduce(lambda one, other: one.op("&&", return_type=TSQUERY())(other), wanted)
    found = select(on_postgres.c.message_id).where(on_postgres.c.document.bool_op("@@")(every))
    # What is frequent is known without looking for it.
    if _expected(connection, found) > _FEW:
        return None
    ids = list(connection.execute(found.limit(_FEW + 1)).scalars())
    return ids if len(ids) <= _FEW else None


def _expected(connection: Connection, query: Select[Any]) -> int:
    """The rows that PostgreSQL expects of it by its statistics."""
    compiled = query.compile(dialect=connection.dialect)
    parameters = tuple(compiled.params[name] for name in compiled.positiontup or ())
    plan = connection.exec_driver_sql(f"EXPLAIN {compiled}", parameters).scalars().first()
    return int(_ROWS.findall(str(plan))[0])


def walk_on_postgres(connection: Connection) -> None:
    """Until the end of the transaction messages are read in their order, without sorting."""
    names = ("enable_sort", "enable_seqscan", "enable_bitmapscan")
    connection.execute(select(*(func.set_config(name, "off", True) for name in names)))


def matches_on_postgres(terms: Sequence[Term], ids: Sequence[int] | None) -> ColumnElement[bool]:
    """`ids`: what `few_on_postgres` found."""
    conditions = [on_postgres.c.message_id == messages.c.id]
    if ids is None:
        conditions += [_contains(each) for each in terms]
    else:
        conditions.append(messages.c.id == any_(literal(ids, ARRAY(BigInteger))))
        conditions += [_contains(each) for each in terms if each.excluded]
        conditions += [_is_there(each) for each in terms if not each.excluded and each.place is not Place.ANYWHERE]
    return and_(*conditions)


def _contains(term: Term) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = on_postgres.c.document.bool_op("@@")(_indexed(term))
    if term.place is not Place.ANYWHERE:
        condition = and_(condition, _is_there(term))
    return not_(condition) if term.excluded else condition


def _is_there(term: Term) -> ColumnElement[bool]:
    """The index says which messages have it anywhere; of these the row itself tells where."""
    text = func.left(_fold(func.left(_SHOWN[term.place], _LONGEST_FIELD, type_=String)), _LONGEST_FIELD)
    is_sender = term.place is Place.SENDER
    words = on_postgres.c.sender if is_sender else func.to_tsvector(_SIMPLE, text, type_=TSVECTOR)
    condition: ColumnElement[bool] = words.bool_op("@@")(_tsquery(term.phrase))
    return or_(condition, _stands(term, func.strpos)) if _has_doubts(term) else condition


def _indexed(term: Term) -> ColumnElement[Any]:
    """One query and not two conditions: PostgreSQL would not know how few have either."""
    within = " & ".join(f"'{each.text}'{':*' if each.prefix else ''}" for each in tokens(term.phrase))
    whole = _tsquery(term.phrase)
    return whole.op("||", return_type=TSQUERY())(cast(literal(within, String), TSQUERY)) if within else whole


def _has_doubts(term: Term) -> bool:
    """Whether the index tells that a message has it, and not where: the row does."""
    return term.place is not Place.ANYWHERE and bool(tokens(term.phrase))


def _stands(term: Term, find: Callable[..., ColumnElement[int]]) -> ColumnElement[bool]:
    text = _fold(func.substr(_SHOWN[term.place], 1, _LONGEST_FIELD, type_=String))
    return and_(*(find(text, _fold(word)) > 0 for word in term.phrase.words))


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
