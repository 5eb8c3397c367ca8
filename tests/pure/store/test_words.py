"""What is typed into a search field."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from mailcore.store import search
from mailcore.store.parts import folded
from mailcore.store.query import Place, Term
from mailcore.store.schema import messages
from mailcore.store.words import Phrase, phrases


def plain(*words: str) -> Phrase:
    return Phrase(words, inside=True)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("eins zwei", (plain("eins"), plain("zwei"))),
        ('"eins zwei" drei', (Phrase(("eins", "zwei")), plain("drei"))),
        ('"never closed', (Phrase(("never", "closed")),)),
        ('glued"to gether"', (plain("glued"), Phrase(("to", "gether")))),
        ("begin* x-y*", (Phrase(("begin",), prefix=True), Phrase(("x", "y"), prefix=True))),
        ('"no prefix*"', (Phrase(("no", "prefix")),)),
        ("* - ! ()", ()),
        ("a@b.example", (plain("a", "b", "example"),)),
        ("snake_case", (plain("snake", "case"),)),
    ],
)
def test_words_phrases_and_beginnings_are_told_apart(typed: str, found: tuple[Phrase, ...]) -> None:
    assert phrases(typed) == found


@given(
    st.text(max_size=60)
    | st.text(alphabet='ab"*:(){}^-+ ANDORT\x00\ud800', max_size=30)
    | st.text(alphabet="会議กินが゙ー a1\u3099\u0301", max_size=60)
)
def test_whatever_is_typed_is_a_query_that_sqlite_takes(typed: str) -> None:
    wanted = [Term(each, place, excluded) for each in phrases(typed) for place in Place for excluded in (False, True)]
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE {search.NAME} USING fts5(subject, sender, recipients, body, facets)")
    connection.execute(
        f"CREATE TABLE {messages} (subject, from_name, from_email, to_emails, cc_emails, to_names, cc_names)"
    )
    connection.create_function("mailbox_app_fold", 1, folded)
    for terms in (wanted, [each for each in wanted if each.excluded]):
        condition = search.matches_on_sqlite(terms, [1, 2], True)
        compiled = select(search.on_sqlite.c.rowid).where(condition).compile(dialect=sqlite.dialect(paramstyle="qmark"))
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        assert connection.execute(str(compiled), values).fetchall() == []
    connection.close()


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.just(UTC)),
    st.integers(1, (1 << search.ID_BITS) - 1),
)
def test_the_rows_of_the_index_are_in_the_order_of_receipt(one: datetime, other: datetime, row_id: int) -> None:
    first, second = sorted((one, other))
    assert search.rowid(first, row_id) <= search.rowid(second, row_id)
    assert search.rowid(first, row_id) & ((1 << search.ID_BITS) - 1) == row_id
    assert -(1 << 63) <= search.rowid(first, row_id) < 1 << 63
