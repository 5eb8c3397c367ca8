"""One status for each UID, and what follows from it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.run import Run
from mailcore.sync.statuses import OPEN, InFlight, Octets, Refusal, Status, Statuses

MOVES = st.lists(st.tuples(st.integers(1, 12), st.none() | st.sampled_from(Status)), max_size=60)


def with_it(to: Status | None) -> InFlight | Refusal | None:
    if to is Status.IN_FLIGHT:
        return InFlight("MAIL", 1, 10, 0.0)
    return Refusal("no", 0.0, 1, 60.0) if to is Status.REFUSED else None


@given(MOVES, st.sets(st.integers(1, 12)).map(UidSet))
def test_whatever_moves_where_there_is_one_status_and_counters_agree_with_it(
    moves: list[tuple[int, Status | None]], found: UidSet
) -> None:
    octets, run = Octets(), Run("r", FoundBy.SWEEP, 0.0, 0.0, 1)
    uids = Statuses(octets, run=run)
    run.add(found, UidSet())
    expected: dict[int, Status | None] = {}
    for uid, to in moves:
        uids.move(uid, to, with_it(to))
        expected[uid] = to
    for uid in range(1, 13):
        assert uids.of(uid) is expected.get(uid)
    in_open = UidSet(uid for uid, status in expected.items() if status in OPEN)
    assert uids.open == in_open
    assert run.left == len(found & in_open)
    assert octets.total == uids.octets == 10 * len(uids.in_flight)
    uids.close()
    assert octets.total == 0


@given(MOVES, st.sets(st.integers(1, 12)).map(UidSet))
def test_what_is_listed_and_has_no_status_is_missing(moves: list[tuple[int, Status | None]], listed: UidSet) -> None:
    uids = Statuses(Octets())
    for uid, to in moves:
        uids.move(uid, to, with_it(to))
    without = UidSet(uid for uid in listed if uids.of(uid) is None)
    assert uids.add(listed) == without
    assert all(uids.of(uid) is Status.MISSING for uid in without)
    assert not uids.add(listed)


def test_the_stored_set_is_a_snapshot() -> None:
    uids = Statuses(Octets(), stored=[1, 2])
    before = uids.stored
    uids.move(3, Status.STORED)
    assert set(before) == {1, 2}
    assert set(uids.stored) == {1, 2, 3}


def test_more_stored_messages_than_are_kept_apart_are_folded_into_ranges() -> None:
    uids = Statuses(Octets())
    for uid in range(1, 5001):
        uids.move(uid, Status.STORED)
    assert uids.stored == UidSet.from_ranges([(1, 5000)])
    assert all(uids.of(uid) is Status.STORED for uid in (1, 4096, 4097, 5000))


def test_a_million_messages_that_are_missing_cost_ranges_not_numbers() -> None:
    uids = Statuses(Octets())
    uids.add(UidSet.from_ranges([(1, 1_000_000)]))
    run = Run("r", FoundBy.SWEEP, 0.0, 0.0, 1)
    run.add(UidSet(), uids.missing)
    uids.run = run
    uids.claim(uids.missing.newest(500))
    assert (len(uids.missing.ranges), len(run.found.ranges), run.left) == (1, 1, 1_000_000)
