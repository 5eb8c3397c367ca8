"""Sets of UIDs behave as Python's sets do, and cost by ranges."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import ProtocolError
from mailcore.imap.sequence import MAX_UID, UidSet

small = st.sets(st.integers(1, 60))
wide = st.sets(st.integers(1, MAX_UID), max_size=20)


@given(small | wide)
def test_a_set_holds_exactly_its_uids_ascending(uids: set[int]) -> None:
    made = UidSet(uids)
    assert list(made) == sorted(uids)
    assert list(reversed(made)) == sorted(uids, reverse=True)
    assert len(made) == len(uids)
    assert bool(made) == bool(uids)
    assert all(uid in made for uid in uids)
    if uids:
        assert (made.min, made.max) == (min(uids), max(uids))
        assert (made.min - 1) not in made
        assert (made.max + 1) not in made


@given(st.lists(st.integers(1, 40)))
def test_order_and_repetition_of_the_input_do_not_matter(uids: list[int]) -> None:
    assert UidSet(uids) == UidSet(set(uids)) == UidSet(UidSet(uids))
    assert hash(UidSet(uids)) == hash(UidSet(set(uids)))


@given(small | wide)
def test_text_round_trips(uids: set[int]) -> None:
    assert UidSet.parse(str(UidSet(uids))) == UidSet(uids)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50))))
def test_ranges_in_any_order_and_direction_are_normalised(ranges: list[tuple[int, int]]) -> None:
    expected = {uid for low, high in ranges for uid in range(min(low, high), max(low, high) + 1)}
    made = UidSet.from_ranges(ranges)
    assert made == UidSet(expected)
    for (_, high), (low, _) in zip(made.ranges, made.ranges[1:], strict=False):
        assert high + 1 < low


@given(small, small)
def test_union_difference_and_intersection_are_those_of_sets(a: set[int], b: set[int]) -> None:
    assert UidSet(a) | UidSet(b) == UidSet(a | b)
    assert UidSet(a) - UidSet(b) == UidSet(a - b)
    assert UidSet(a) & UidSet(b) == UidSet(a & b)


@given(small, st.integers(1, 20))
def test_chunks_are_the_set_in_order_and_of_the_size_asked(uids: set[int], n: int) -> None:
    parts = list(UidSet(uids).chunks(n))
    assert [uid for part in parts for uid in part] == sorted(uids)
    assert all(len(part) == n for part in parts[:-1])
    assert all(parts)


@given(small, st.integers(0, 80))
def test_newest_takes_the_highest_uids(uids: set[int], n: int) -> None:
    assert list(UidSet(uids).newest(n)) == sorted(uids)[max(0, len(uids) - n) :]


@pytest.mark.parametrize("text", ["*", "1:*", "a", "1,", ",", "1:", ":", "0", "1:0", "4294967296", "1 2", "١", "-1"])
def test_text_that_is_no_set_of_uids_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        UidSet.parse(text)


@pytest.mark.parametrize("uids", [[0], [-1, 3], [MAX_UID + 1], [0, 1, 2]])
def test_a_number_that_is_no_uid_is_refused(uids: list[int]) -> None:
    with pytest.raises(ValueError, match="not a UID"):
        UidSet(uids)


def test_an_empty_set_has_neither_min_nor_max() -> None:
    assert str(UidSet()) == ""
    assert repr(UidSet([1, 2, 5])) == "UidSet(1:2,5)"
    for name in ("min", "max"):
        with pytest.raises(ValueError, match="empty"):
            getattr(UidSet(), name)


def test_two_hundred_thousand_uids_with_every_tenth_expunged_are_compared_in_a_fraction_of_a_second() -> None:
    server = UidSet.from_ranges((n, n + 8) for n in range(1, 200_000, 10))
    stored = UidSet.from_ranges([(1, 150_000)])
    start = time.process_time()
    missing, gone, both, either = server - stored, stored - server, server & stored, server | stored
    assert time.process_time() - start < 0.3
    assert len(missing) == 45_000
    assert len(gone) == 15_000
    assert len(both) + len(missing) == len(server)
    assert either.ranges[0] == (1, 150_000) or either.ranges[0][0] == 1


def test_a_contiguous_mailbox_costs_nothing_however_large() -> None:
    whole = UidSet.from_ranges([(1, MAX_UID)])
    start = time.process_time()
    for _ in range(1000):
        assert not whole - whole
        assert len(whole & whole) == MAX_UID
    assert time.process_time() - start < 1
