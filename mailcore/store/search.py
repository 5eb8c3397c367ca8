"""Full text, which the two databases do in their own ways, found with the same words.

Triggers keep the index (migrations 0002, 0003 and 0012), so whoever writes messages need not know of it. Subject,
sender and recipients are indexed, of the text the first 100,000 characters, and beside it what stands in
`search_parts`: names of files and parts of words (mailcore/store/parts.py). Case and accents do not matter.

SQLite: a contentless FTS5 table. Its rowid is made of the time of receipt and the message's id, so that it gives the
newest first without sorting, and stops when a page is full. Its column `facets` has the mailbox and whether there are
attachments, so that a narrow filter on a frequent word walks no rows. It has indexes of the beginnings of words, up to
four letters: a shorter beginning would else be looked for in all words.
PostgreSQL: a table of tsvectors with GIN indexes, and one of the subjects alone (migration 0023). Where one part of
what is wanted is rare, all that have it are taken from its index and sorted; else messages are walked in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    String,
    UnaryExpression,
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
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR
from sqlalchemy.sql.operators import custom_op

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
_FEW: Final = 6_000
# Fewer of these, as most subjects are told at a glance not to have a word.
_FEW_OF_SUBJECT: Final = 1_500
SUBJECT_INDEX: Final = "mailbox_app_mailmessage_subject_idx"
# As in migration 0023, letter by letter.
SUBJECT: Final[ColumnElement[Any]] = literal_column(
    "to_tsvector('simple'::regconfig, mailbox_app_fold(\"left\"(mailbox_app_mailmessage.subject, 10000)))", TSVECTOR
)
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


@dataclass(frozen=True, slots=True)
class Few:
    """The ids of all messages that may match, and the terms of which the index said so."""

    ids: Sequence[int]
    terms: Collection[Term]


def few_on_postgres(connection: Connection, terms: Sequence[Term]) -> Few | None:
    """What the indexes say; None where that is many. Who has a word in the text is not asked for a word of the subject
    or the sender: it may be frequent here and rare there."""
    there = [each for each in terms if not each.excluded and each.place in (Place.ANYWHERE, Place.RECIPIENTS)]
    gone = [each for each in terms if each.excluded and each.place is Place.ANYWHERE] if there else []
    queries = [([each], _candidates(each)) for each in terms if not each.excluded and each not in there]
    if there:
        every = reduce(_both, [*map(_indexed, there), *(_not(_indexed(each)) for each in gone)])
        queries.append(([*there, *gone], _with_document(every)))
    found: set[int] | None = None
    settled: list[Term] = []
    # What is frequent is known without looking for it.
    expected = [(_expected(connection, query), whose, query) for whose, query in queries]
    for number, whose, query in sorted(expected, key=itemgetter(0)):
        few = _FEW_OF_SUBJECT if whose[0].place is Place.SUBJECT else _FEW
        # How many have one word and not another is guessed, and often too high.
        if number > (few * 3 if whose[-1].excluded else few):
            continue
        ids = set(connection.execute(query.limit(few + 1)).scalars())
        if len(ids) <= few:
            found = ids if found is None else found & ids
            settled += whose
    return None if found is None else Few(sorted(found), settled)


def _candidates(term: Term) -> Select[Any] | CompoundSelect[Any]:
    """The ids of messages that may have it in its place."""
    within = _parts(term)
    if term.place is Place.SENDER:
        there: ColumnElement[bool] = on_postgres.c.sender.bool_op("@@")(_tsquery(term.phrase))
        if within is not None:
            there = or_(there, on_postgres.c.document.bool_op("@@")(within))
        return select(on_postgres.c.message_id).where(there)
    whole = select(messages.c.id).where(SUBJECT.bool_op("@@")(_tsquery(term.phrase)))
    return whole if within is None else union(whole, _with_document(within))


def _with_document(query: ColumnElement[Any]) -> Select[Any]:
    return select(on_postgres.c.message_id).where(on_postgres.c.document.bool_op("@@")(query))


def _not(query: ColumnElement[Any]) -> ColumnElement[Any]:
    return UnaryExpression(query, operator=custom_op("!!"), type_=TSQUERY())


def _both(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return one.op("&&", return_type=TSQUERY())(other)


def _expected(connection: Connection, query: Select[Any] | CompoundSelect[Any]) -> int:
    """The rows that PostgreSQL expects of it by its statistics."""
    compiled = query.compile(dialect=connection.dialect)
    parameters = tuple(compiled.params[name] for name in compiled.positiontup or ())
    plan = connection.exec_driver_sql(f"EXPLAIN {compiled}", parameters).scalars().first()
    return int(_ROWS.findall(str(plan))[0])


def read_on_postgres(connection: Connection, *, walking: bool, counting: bool) -> None:
    """How messages are read until the end of the transaction: by one process, as to start others takes longer than a
    page; `walking`: in their order, without sorting; `counting`: one by one, as nobody needs all of them."""
    off = ["jit"]
    if walking:
        off += ["enable_sort", "enable_seqscan", "enable_bitmapscan"]
    if counting:
        off += ["enable_hashjoin", "enable_mergejoin"]
    values = dict.fromkeys(off, "off") | {"max_parallel_workers_per_gather": "0"}
    connection.execute(select(*(func.set_config(name, value, True) for name, value in values.items())))


def matches_on_postgres(terms: Sequence[Term], few: Few | None) -> ColumnElement[bool]:
    """`few`: what `few_on_postgres` found."""
    settled = few.terms if few else ()
    conditions = [on_postgres.c.message_id == messages.c.id]
    if few:
        conditions.append(messages.c.id == any_(literal(few.ids, ARRAY(BigInteger))))
    conditions += [_contains(each) for each in terms if each not in settled]
    conditions += [_is_there(each) for each in settled if each.place is not Place.ANYWHERE]
    return and_(*conditions)


def _contains(term: Term) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = on_postgres.c.document.bool_op("@@")(_indexed(term))
    if term.place is not Place.ANYWHERE:
        condition = and_(_is_there(term), condition)
    return not_(condition) if term.excluded else condition


def _is_there(term: Term) -> ColumnElement[bool]:
    """The index says which messages may have it there; of these the row itself tells."""
    if term.place is Place.SENDER:
        words: ColumnElement[Any] = on_postgres.c.sender
    elif term.place is Place.SUBJECT:
        words = SUBJECT
    else:
        text = func.left(_fold(func.left(_SHOWN[term.place], _LONGEST_FIELD, type_=String)), _LONGEST_FIELD)
        words = func.to_tsvector(_SIMPLE, text, type_=TSVECTOR)
    condition: ColumnElement[bool] = words.bool_op("@@")(_tsquery(term.phrase))
    return and_(_may_stand(term), or_(condition, _stands(term, func.strpos)) if _has_doubts(term) else condition)


def _may_stand(term: Term) -> ColumnElement[bool]:
    """What is seen at a glance of a text in ASCII, as most are: to fold it would take ten times as long."""
    text = func.left(_SHOWN[term.place], _LONGEST_FIELD, type_=String)
    more = func.octet_length(text) > func.length(text)
    return and_(*(or_(more, func.strpos(func.lower(text), _fold(word)) > 0) for word in term.phrase.words))


def _indexed(term: Term) -> ColumnElement[Any]:
    """One query and not two conditions: PostgreSQL would not know how few have either."""
    whole, within = _tsquery(term.phrase), _parts(term)
    return whole if within is None else whole.op("||", return_type=TSQUERY())(within)


def _parts(term: Term) -> ColumnElement[Any] | None:
    """All parts of its words; None where it is looked for as a whole alone."""
    within = " & ".join(f"'{each.text}'{':*' if each.prefix else ''}" for each in tokens(term.phrase))
    return cast(literal(within, String), TSQUERY) if within else None


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
