"""I7: a UIDVALIDITY change never announces as new what is stored, and rebinds each old row at most once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailcore.events.message import Kind
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import Birth, OldGenerations, OldPlace

SEEN = datetime(2026, 5, 1, tzinfo=UTC)
PLACES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(1, 50)), unique_by=lambda place: place[1:]
)


@given(PLACES, st.lists(st.sampled_from("abcd")))
def test_each_old_place_is_given_out_once_and_only_for_its_own_bytes(
    places: list[tuple[str, int, int]], wanted: list[str]
) -> None:
    old = OldGenerations(places)
    had = Counter(sha256 for sha256, _, _ in places)
    given_out: list[OldPlace] = []
    for sha256, count in Counter(wanted).items():
        taken = [place for place in (old.take(sha256) for _ in range(count)) if place]
        assert len(taken) == min(count, had[sha256])
        assert all((sha256, place.uidvalidity, place.uid) in places for place in taken)
        given_out += taken
    assert len(set(given_out)) == len(given_out)
    assert {(p.uidvalidity, p.uid) for p in given_out + old.rest()} == {place[1:] for place in places}


def test_a_place_given_back_can_be_taken_again() -> None:
    old = OldGenerations([("a", 1, 1)])
    place = old.take("a")
    assert place is not None
    assert old.take("a") is None
    old.give_back("a", place)
    assert old.take("a") == place


def test_a_place_whose_row_is_already_bound_anew_is_neither_given_out_nor_expunged() -> None:
    old = OldGenerations([("a", 1, 1), ("a", 1, 2)])
    old.settled(OldPlace(1, 1))
    assert old.rest() == [OldPlace(1, 2)]
    assert old.take("a") == OldPlace(1, 2)
    assert old.take("a") is None


@given(st.integers(1, 100), st.integers(1, 100), st.timedeltas(timedelta(-9), timedelta(9)))
def test_in_the_first_generation_uidnext_alone_tells_new_from_backfill(uid: int, uidnext: int, age: timedelta) -> None:
    assert (Birth(SEEN, uidnext).kind(uid, SEEN + age) is Kind.NEW) == (uid >= uidnext)


def test_in_a_later_generation_renumbered_old_mail_is_told_by_its_date() -> None:
    birth = Birth(SEEN, 100, first=False)
    assert birth.kind(5, SEEN - timedelta(days=1)) is Kind.BACKFILL
    assert birth.kind(5, SEEN + timedelta(days=1)) is Kind.NEW
    assert birth.kind(100, SEEN - timedelta(days=1)) is Kind.NEW


def test_a_mailbox_whose_next_uid_would_be_the_first_that_is_none_has_nothing_that_arrived() -> None:
    assert not Birth(SEEN, 2**32).arrived(UidSet([1, 2**32 - 1]))
    assert Birth(SEEN, 2**32 - 1).arrived(UidSet([1, 2**32 - 1])) == UidSet([2**32 - 1])


def test_what_was_there_before_is_asked_for_as_imap_backfill_says() -> None:
    assert Birth(SEEN, 5).criteria("all") == "ALL"
    assert Birth(SEEN, 5).criteria("none") == ""
    assert Birth(SEEN, 5, first=False).criteria("none") == "SINCE 30-Apr-2026"
    assert Birth(SEEN, 5).criteria(3) == "SINCE 27-Apr-2026"
