"""What a server tells of its UIDs: it is whole or not, changed or not, and nothing is guessed."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.sequence import UidSet
from mailcore.sync.listing import Listing, Snapshot, batches, contradiction, unchanged

SETS = st.sets(st.integers(1, 300)).map(UidSet)
SNAPSHOTS = st.builds(
    Snapshot,
    st.none() | st.integers(1, 3),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(1, 5),
)


def listing(uids: UidSet, exists: int | None, messages: int | None) -> Listing:
    return Listing(7, uids, uids, exists, messages, object())


@given(SETS, st.none() | st.integers(0, 400), st.none() | st.integers(0, 400))
def test_a_list_is_whole_when_it_has_as_many_uids_as_exist_and_status_told_no_more(
    uids: UidSet, exists: int | None, messages: int | None
) -> None:
    whole = exists == len(uids) and (messages is None or messages <= exists)
    assert (contradiction(listing(uids, exists, messages)) == "") == whole


@given(SNAPSHOTS, SNAPSHOTS)
def test_any_difference_is_a_change_but_for_that_of_a_modseq_where_uidnext_is_told(
    before: Snapshot, now: Snapshot
) -> None:
    same = dataclasses.replace(before, highestmodseq=now.highestmodseq) if now.uidnext is not None else before
    assert unchanged(before, now) <= (same == now)


def test_a_change_of_flags_alone_is_no_change_of_the_uids() -> None:
    assert unchanged(Snapshot(1, 6, 5, 10), Snapshot(1, 6, 5, 11))
    assert not unchanged(Snapshot(1, None, 5, 10), Snapshot(1, None, 5, 11))
    assert unchanged(Snapshot(1, None, 5, 10), Snapshot(1, None, 5, 10))


def test_equal_counts_prove_nothing_on_a_server_that_tells_neither_uidnext_nor_modseq() -> None:
    snapshot = Snapshot(1, None, 5, None)
    assert not unchanged(snapshot, snapshot)
    assert unchanged(dataclasses.replace(snapshot, uidnext=6), dataclasses.replace(snapshot, uidnext=6))


def test_a_status_that_tells_nothing_proves_nothing() -> None:
    assert not unchanged(Snapshot(None, None, None), Snapshot(None, None, None))
    assert not unchanged(Snapshot(1, 5, None), Snapshot(1, 5, None))


def test_without_an_earlier_snapshot_nothing_is_known() -> None:
    assert not unchanged(None, Snapshot(1, 1, 0, 1))


SIZES = st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 5000)), unique_by=lambda pair: pair[0])


@given(SIZES, st.integers(1, 10), st.integers(1, 4000))
def test_batches_hold_every_uid_once_in_order_and_keep_both_limits(
    sizes: list[tuple[int, int]], count: int, octets: int
) -> None:
    made = list(batches(sizes, count=count, octets=octets))
    assert [uid for uids, _ in made for uid in uids] == [uid for uid, _ in sizes]
    by_uid = dict(sizes)
    for uids, total in made:
        assert 1 <= len(uids) <= count
        assert total == sum(by_uid[uid] for uid in uids)
        assert total <= octets or len(uids) == 1
