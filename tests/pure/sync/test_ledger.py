"""The ledger: whatever happens in whatever order, a UID is taken care of once, and never forgotten."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mailcore.imap.sequence import UidSet
from mailcore.sync.ledger import Ledger

UIDS = st.integers(1, 40)


class Mailbox(RuleBasedStateMachine):
    """A server, a ledger, and a stream between them; every step of either may happen at any time."""

    claimed = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.server: set[int] = set()
        self.ledger = Ledger(1)
        self.published: list[int] = []  # every PubAck, to see what was published twice
        self.database: set[int] = set()
        self.next_uid = 1

    @rule()
    def mail_arrives(self) -> None:
        self.server.add(self.next_uid)
        self.next_uid += 1

    @rule(uid=UIDS)
    def mail_is_expunged(self, uid: int) -> None:
        self.server.discard(uid)

    @rule(target=claimed)
    def somebody_claims_the_newest_missing(self) -> int:
        missing = self.ledger.missing(UidSet(self.server))
        if not missing:
            return 0
        assert self.ledger.claim(missing.max)
        assert not self.ledger.claim(missing.max)
        return missing.max

    @rule(uid=consumes(claimed))
    def it_is_published(self, uid: int) -> None:
        if uid and uid in self.ledger.claimed:
            self.published.append(uid)
            self.ledger.published(uid, seq=len(self.published), size=100, now=0.0)

    @rule(uid=consumes(claimed))
    def the_transfer_breaks(self, uid: int) -> None:
        if uid:
            self.ledger.release(uid)

    @rule(uid=UIDS)
    def the_consumer_stores(self, uid: int) -> None:
        if uid in self.ledger.in_flight:
            self.database.add(uid)

    @rule(uid=UIDS)
    def stored_is_heard(self, uid: int) -> None:
        if uid in self.database:
            was_in_flight = uid in self.ledger.in_flight
            assert (self.ledger.settle(uid) is not None) == was_in_flight
            assert self.ledger.settle(uid) is None, "credit would be given back twice"

    @rule()
    def the_process_is_killed_and_starts_again(self) -> None:
        in_flight = {uid: e for uid, e in self.ledger.in_flight.items() if uid not in self.database}
        self.ledger = Ledger(1, sorted(self.database))
        for uid, entry in in_flight.items():  # the stream still holds them
            self.ledger.published(uid, entry.seq, entry.size, 0.0)

    @invariant()
    def everything_is_stored_in_flight_claimed_or_missing(self) -> None:
        ledger = self.ledger
        known = set(ledger.stored) | set(ledger.in_flight) | ledger.claimed
        assert set(ledger.missing(UidSet(self.server))) == self.server - known

    @invariant()
    def no_uid_is_published_twice(self) -> None:
        assert len(self.published) == len(set(self.published))

    @invariant()
    def a_uid_is_in_one_state(self) -> None:
        ledger = self.ledger
        states = [set(ledger.stored), set(ledger.in_flight), ledger.claimed]
        assert sum(len(state) for state in states) == len(set().union(*states))


TestMailbox = Mailbox.TestCase
TestMailbox.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.sets(UIDS), st.sets(UIDS))
def test_stored_that_overtakes_its_puback_leaves_nothing_in_flight(first: set[int], late: set[int]) -> None:
    ledger = Ledger(1)
    for uid in first | late:
        ledger.claim(uid)
    for uid in first:
        ledger.settle(uid)
    for uid in first | late:
        ledger.published(uid, 1, 10, 0.0)
    assert set(ledger.in_flight) == late - first
    assert ledger.bytes_in_flight == 10 * len(late - first)


def test_the_stored_set_is_a_snapshot() -> None:
    ledger = Ledger(1, [1, 2])
    before = ledger.stored
    ledger.settle(3)
    assert set(before) == {1, 2}
    assert set(ledger.stored) == {1, 2, 3}


def test_more_stored_messages_than_are_kept_apart_are_folded_into_ranges() -> None:
    ledger = Ledger(1)
    for uid in range(1, 5001):
        ledger.settle(uid)
    assert ledger.stored == UidSet.from_ranges([(1, 5000)])
    assert not any(ledger.claim(uid) for uid in (1, 4096, 4097, 5000))


def test_a_dead_message_is_neither_missing_nor_stored_until_it_is_stored_after_all() -> None:
    ledger = Ledger(1, dead=[7])
    assert not ledger.missing(UidSet([7]))
    assert 7 not in ledger.stored
    ledger.settle(7)
    assert 7 in ledger.stored
    assert not ledger.dead


def test_what_has_been_in_flight_for_long_is_found_by_its_age() -> None:
    ledger = Ledger(1)
    ledger.published(1, 1, 10, now=5.0)
    ledger.published(2, 2, 10, now=9.0)
    assert set(ledger.older_than(6.0)) == {1}
