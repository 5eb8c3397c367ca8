"""A search as people type it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.store import MessageFilter
from mailcore.store.query import Name, Place, Search, Term, together, understand
from mailcore.store.words import MOST, Phrase

NOTHING = MessageFilter()


def typed(query: str) -> Search:
    return understand(MessageFilter(query=query))


def word(*words: str, begins: bool = False) -> Phrase:
    return Phrase(words, prefix=begins)


def plain(*words: str, begins: bool = False) -> Phrase:
    return Phrase(words, prefix=begins, inside=True)


def day(year: int, month: int = 1, number: int = 1) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("one two", [Term(plain("one")), Term(plain("two"))]),
        ('"one two" three', [Term(word("one", "two")), Term(plain("three"))]),
        ("“one two” „three four“", [Term(word("one", "two")), Term(word("three", "four"))]),
        ("begin* -end", [Term(word("begin", begins=True)), Term(word("end"), excluded=True)]),
        ('-"side by"', [Term(word("side", "by"), excluded=True)]),
        ("-gone* x-y", [Term(word("gone", begins=True), excluded=True), Term(plain("x", "y"))]),
        ("from:anna", [Term(plain("anna", begins=True), Place.SENDER)]),
        ("FROM: anna", [Term(plain("anna", begins=True), Place.SENDER)]),
        ('from:"Anna B"', [Term(word("Anna", "B"), Place.SENDER)]),
        ("-from:anna@b.c", [Term(word("anna", "b", "c"), Place.SENDER, excluded=True)]),
        ("to:carl cc:dora", [Term(plain(each, begins=True), Place.RECIPIENTS) for each in ("carl", "dora")]),
        ('subject:"q3 report"', [Term(word("q3", "report"), Place.SUBJECT)]),
        ("http://a.example", [Term(plain("http", "a", "example"))]),
        (
            "before:noon is:it has:wings",
            [Term(plain(*pair)) for pair in (("before", "noon"), ("is", "it"), ("has", "wings"))],
        ),
        ("before:2026-02-30", [Term(plain("before", "2026", "02", "30"))]),
        ("from:", [Term(plain("from"))]),
    ],
)
def test_words_phrases_and_where_they_stand_are_told_apart(query: str, terms: list[Term]) -> None:
    assert typed(query) == Search(NOTHING, tuple(terms))


@pytest.mark.parametrize(
    ("query", "narrowed"),
    [
        ("has:attachment", MessageFilter(has_attachments=True)),
        ("-has:attachments", MessageFilter(has_attachments=False)),
        ("is:unread is:starred", MessageFilter(seen=False, flagged=True)),
        ("-is:answered", MessageFilter(answered=False)),
        ("after:2026", MessageFilter(since=day(2026))),
        ("after:2026-02 after:2026-1-5", MessageFilter(since=day(2026, 2))),
        ("before:2026/02/03 before:2027", MessageFilter(until=day(2026, 2, 3))),
        ("-before:2026-02-03", MessageFilter(since=day(2026, 2, 3))),
    ],
)
def test_limits_are_fields_of_the_filter(query: str, narrowed: MessageFilter) -> None:
    assert typed(query) == Search(narrowed)


def test_what_is_typed_narrows_what_is_chosen_and_never_widens_it() -> None:
    chosen = MessageFilter(
        has_attachments=True, since=day(2026, 3), query="after:2025 -has:attachment", sender="anna b"
    )
    assert understand(chosen) == Search(
        MessageFilter(has_attachments=True, since=day(2026, 3)),
        tuple(Term(plain(each), Place.SENDER) for each in ("anna", "b")),
        impossible=True,
    )


@pytest.mark.parametrize("query", ["!!!", '"', "has:attachment -has:attachment", "is:read is:unread", "from:!!!"])
def test_what_no_message_can_have_is_impossible(query: str) -> None:
    assert typed(query).impossible
    assert not typed("").impossible
    assert not typed("  ").impossible


def test_mailboxes_and_accounts_have_their_names_in_any_case() -> None:
    found = typed('in:"Sent Items" -in:trash account:work -account:Home')
    assert found.mailboxes == (Name("Sent Items"), Name("trash", excluded=True))
    assert found.accounts == (Name("work"), Name("Home", excluded=True))
    assert Name("sent").admits("INBOX/Sent")
    assert Name("sent").admits("INBOX.SENT")
    assert not Name("sent").admits("Unsent")
    assert not Name("sent", excluded=True).admits("Sent")
    assert Name("é").admits("e\u0301")


PIECES = st.sampled_from(
    [
        "from:",
        "to:",
        "in:",
        "has:attachment",
        "is:read",
        "before:2026-01",
        "after:9999-99",
        "-",
        '"',
        "“",
        " ",
        "a",
        "会議",
    ]
)


@given(st.text(max_size=60) | st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_nothing_that_is_typed_is_an_error_and_all_of_it_is_bounded(query: str) -> None:
    found = typed(query)
    assert found.filter.query == found.filter.sender == ""
    assert len(found.terms) + len(found.accounts) + len(found.mailboxes) <= 2 * MOST
    assert all(each.phrase.words for each in found.terms)


@given(st.lists(st.sampled_from(["alpha", '"b c"', "-delta", "from:e", "is:read", "in:x"]), max_size=6))
def test_more_words_only_narrow(pieces: list[str]) -> None:
    shorter, longer = typed(" ".join(pieces[:-1])), typed(" ".join(pieces))
    assert longer.terms[: len(shorter.terms)] == shorter.terms
    assert longer.mailboxes[: len(shorter.mailboxes)] == shorter.mailboxes
    assert shorter.filter.seen in (None, longer.filter.seen)


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("word", "word"),
        ("two words", '"two words"'),
        ("from:Anna B", 'from:"Anna B"'),
        ("-in:Sent Items", '-in:"Sent Items"'),
        ('from:"Anna B" x', 'from:"Anna B" x'),
        ("- x", '-" x"'),
    ],
)
def test_what_a_shell_kept_together_stays_together(argument: str, part: str) -> None:
    assert together(argument) == part
