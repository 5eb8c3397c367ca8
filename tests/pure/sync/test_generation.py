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


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # by the strategy


@given(st.integers(1, 100), st.integers(1, 100), MOMENTS)
def test_where_the_account_had_the_mailbox_uidnext_alone_tells_new_from_backfill(
    uid: int, uidnext: int, received_at: datetime
) -> None:
    assert (Birth(SEEN, SEEN, uidnext).kind(uid, received_at) is Kind.NEW) == (uid >= uidnext)


@given(st.integers(1, 100), st.integers(1, 100), MOMENTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=99)))
def test_in_a_younger_mailbox_mail_is_new_that_came_since_the_account_was_first_seen(
    uid: int, uidnext: int, received_at: datetime, later: timedelta
) -> None:
    new = uid >= uidnext or received_at >= SEEN
    assert (Birth(SEEN, SEEN + later, uidnext).kind(uid, received_at) is Kind.NEW) == new


def test_in_a_later_generation_renumbered_old_mail_is_told_by_its_date() -> None:
    birth = Birth(SEEN, SEEN, 100, first=False)
    assert birth.kind(5, SEEN - timedelta(days=1)) is Kind.BACKFILL
    assert birth.kind(5, SEEN + timedelta(days=1)) is Kind.NEW
    assert birth.kind(100, SEEN - timedelta(days=1)) is Kind.NEW


def test_mail_of_the_second_in_which_the_account_was_first_seen_is_new_though_its_date_has_no_fraction() -> None:
    seen = SEEN + timedelta(microseconds=700_000)
    assert Birth(seen, seen + timedelta(hours=1), 9).kind(1, SEEN) is Kind.NEW


def test_a_mailbox_whose_next_uid_would_be_the_first_that_is_none_has_nothing_that_arrived() -> None:
    assert not Birth(SEEN, SEEN, 2**32).arrived(UidSet([1, 2**32 - 1]))
    assert Birth(SEEN, SEEN, 2**32 - 1).arrived(UidSet([1, 2**32 - 1])) == UidSet([2**32 - 1])


def test_what_was_there_before_is_asked_for_as_imap_backfill_says() -> None:
    birth = Birth(SEEN, SEEN, 5)
    assert [birth.criteria(backfill) for backfill in ("all", "none", 3)] == ["ALL", "", "SINCE 27-Apr-2026"]
    assert Birth(SEEN, SEEN, 5, first=False).criteria("none") == "SINCE 30-Apr-2026"


def test_of_a_younger_mailbox_what_came_since_the_account_was_first_seen_is_in_scope() -> None:
    birth = Birth(SEEN, SEEN + timedelta(days=60), 5)
    assert [birth.criteria(backfill) for backfill in ("all", "none", 3)] == [
        "ALL",
        "SINCE 30-Apr-2026",
        "SINCE 27-Apr-2026",
    ]
