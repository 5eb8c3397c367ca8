"""The comparison: empty when nothing is to be done, complete when something is, and it never guesses."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.sequence import UidSet
from mailcore.sync.ledger import InFlight, Ledger
from mailcore.sync.reconcile import Snapshot, audit, batches, plan, unchanged

SETS = st.sets(st.integers(1, 300)).map(UidSet)
SNAPSHOTS = st.builds(
    Snapshot,
    st.integers(1, 3),
    st.none() | st.integers(1, 5),
    st.integers(0, 3),
    st.none() | st.integers(1, 5),
)


@given(SETS, SETS)
def test_a_plan_applied_and_planned_again_is_empty(server: UidSet, stored: UidSet) -> None:
    ledger = Ledger(1, stored)
    first = plan(server, ledger.stored, ledger)
    assert first.missing == server - stored
    assert first.gone == stored - server
    for uid in first.missing:
        ledger.claim(uid)
        ledger.published(uid, 1, 1, 0.0)
        ledger.settle(uid)
    ledger.forget(first.gone)
    assert not plan(server, ledger.stored, ledger)
    assert ledger.stored == server


@given(SETS)
def test_the_plan_for_an_up_to_date_mailbox_is_empty(server: UidSet) -> None:
    ledger = Ledger(1, server)
    assert not plan(server, ledger.stored, ledger)


@given(SETS, SETS)
def test_what_is_stored_while_the_server_answers_is_not_taken_for_gone(server: UidSet, late: UidSet) -> None:
    ledger = Ledger(1, server)
    before = ledger.stored
    for uid in late:
        ledger.settle(uid)
    assert not plan(server, before, ledger).gone


@given(SNAPSHOTS, SNAPSHOTS)
def test_any_difference_is_a_change(before: Snapshot, now: Snapshot) -> None:
    assert unchanged(before, now) <= (before == now)


def test_equal_counts_prove_nothing_on_a_server_that_tells_neither_uidnext_nor_modseq() -> None:
    snapshot = Snapshot(1, None, 5, None)
    assert not unchanged(snapshot, snapshot)
    assert unchanged(dataclasses.replace(snapshot, uidnext=6), dataclasses.replace(snapshot, uidnext=6))


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


@given(
    st.dictionaries(st.integers(1, 50), st.integers(1, 100), max_size=20),
    st.sets(st.integers(1, 50)),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_lost_is_only_what_the_stream_will_not_deliver_and_the_database_has_not(
    seqs: dict[int, int], stored: set[int], floor: int, first: int, last: int
) -> None:
    in_flight = {uid: InFlight(seq, 1, 0.0) for uid, seq in seqs.items()}
    found = audit(in_flight, stored & seqs.keys(), ack_floor=floor, first_seq=first, last_seq=last)
    assert found.stored == stored & seqs.keys()
    for uid, seq in seqs.items():
        deliverable = max(first, floor + 1) <= seq <= last
        assert (uid in found.lost) == (uid not in stored and not deliverable)


def test_a_stream_made_anew_has_lost_whatever_its_new_sequences_say() -> None:
    in_flight = {uid: InFlight(5, 1, 0.0) for uid in (1, 2)}
    found = audit(in_flight, {1}, ack_floor=0, first_seq=1, last_seq=90, made_anew=True)
    assert found.stored == {1}
    assert found.lost == {2}
