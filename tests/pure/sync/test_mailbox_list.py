"""What became of the mailboxes of an account: nobody is gone by one LIST, nor by one that is not whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.sync.mailbox_list import INBOX, Absences, Changes, Found, fits, may_be

NAMES = st.frozensets(st.sampled_from(["INBOX", "A", "A/b", "B", "C"]))
ALL = ("*",)


@pytest.mark.parametrize(
    ("name", "pattern", "delimiter", "right"),
    [
        ("INBOX", "inbox", "/", True),
        ("Archive", "archive", "/", False),
        ("a/b/c", "*", "/", True),
        ("a/b/c", "a/%", "/", False),
        ("a/b", "a/%", "/", True),
        ("a.b", "%", "/", True),
        ("a.b", "%", ".", False),
        ("a/b", "%", None, True),
        ("a+b[c]\n", "a+b[c]*", "/", True),
        ("aab", "a+b", "/", False),
    ],
)
def test_a_pattern_fits_what_list_gives_for_it(name: str, pattern: str, delimiter: str | None, right: bool) -> None:
    assert fits(name, ("nothing", pattern), delimiter) is right


@given(st.lists(st.tuples(NAMES, st.integers(1, 3), st.booleans()), max_size=8), NAMES)
def test_what_is_gone_was_missing_on_two_connections_in_a_row_of_lists_that_were_whole(
    lists: list[tuple[frozenset[str], int, bool]], known: frozenset[str]
) -> None:
    absences, connections = Absences(), [object() for _ in range(4)]
    absent: dict[str, set[int]] = {}  # in how many LISTs in a row, by their connections
    for listed, number, whole in lists:
        changes = absences.compare(known, listed, ALL, connections[number], whole=whole)
        believed = whole and INBOX in listed
        assert changes.appeared == listed - known
        assert changes.missing == (known - listed if believed else frozenset())
        assert changes.gone <= changes.missing
        absent = {name: absent.get(name, set()) | {number} for name in changes.missing}
        assert all(len(absent[name]) > 1 for name in changes.gone)


def test_one_connection_alone_never_makes_a_mailbox_gone_and_a_second_does() -> None:
    absences, one, other = Absences(), object(), object()
    known, listed = {"INBOX", "A"}, {"INBOX"}
    for _ in range(3):
        assert absences.compare(known, listed, ALL, one).gone == set()
    assert absences.compare(known, listed, ALL, other) == Changes(frozenset(), frozenset("A"), frozenset("A"))
    assert absences.compare(known, known, ALL, one).missing == set()
    assert absences.compare(known, listed, ALL, other).gone == set(), "it was there in between"


def test_a_list_without_inbox_proves_no_absence_where_inbox_is_asked_for() -> None:
    absences = Absences()
    for connection in (object(), object()):
        assert absences.compare({"INBOX", "A"}, set(), ALL, connection).missing == set()
    assert absences.compare({"A"}, set(), ("A",), object()).missing == {"A"}


def test_mailboxids_tell_for_certain_and_else_uidvalidity_and_uidnext_may() -> None:
    assert may_be(Found("F1", 7, 9), Found("F1", 8, 1))
    assert not may_be(Found("F1", 7, 9), Found("F2", 7, 9))
    assert may_be(Found("", 7, 9), Found("F2", 7, 9))
    assert may_be(Found("", 7, None), Found("", 7, 3))
    assert not may_be(Found("", 7, 9), Found("", 7, 8)), "UIDNEXT never falls (RFC 9051 §2.3.1.1)"
    assert not may_be(Found("", 7, 9), Found("", 8, 9))
    assert not may_be(Found("", None, 9), Found("", None, 9))
