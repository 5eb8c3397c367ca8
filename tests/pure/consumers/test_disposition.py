"""What becomes of a delivery, over all errors and counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.disposition import ATTEMPTS, CRASHES, SUSPECT, Action, dispose, is_hopeless, is_passing, is_suspect
from mailcore.bus import BodyMissing
from mailcore.errors import BusError, EventError, MozzartError, Retry, Scope, StoreError

errors = st.one_of(
    st.builds(MozzartError, st.just("x"), scope=st.sampled_from(Scope), retry=st.sampled_from(Retry)),
    st.builds(StoreError, st.just("x"), scope=st.sampled_from(Scope), retry=st.sampled_from(Retry)),
    st.sampled_from(
        [BusError("x"), OSError("x"), ValueError("x"), RecursionError(), EventError("x"), BodyMissing("x")]
    ),
)
counts = st.integers(1, 10_000)


@given(errors, counts)
def test_what_comes_again_comes_within_a_minute_and_never_at_once(error: Exception, deliveries: int) -> None:
    found = dispose(error, deliveries)
    if found.action is Action.NAK:
        assert 0 < found.delay <= 60


@given(errors, counts)
def test_it_never_comes_again_sooner_than_the_time_before(error: Exception, deliveries: int) -> None:
    now, later = dispose(error, deliveries), dispose(error, deliveries + 1)
    if later.action is Action.NAK:
        assert now.action is Action.NAK
        assert later.delay >= now.delay


@given(st.sampled_from(Scope), st.sampled_from(Retry), counts)
def test_only_what_is_the_messages_own_fault_for_ever_is_buried(scope: Scope, retry: Retry, deliveries: int) -> None:
    found = dispose(StoreError("x", scope=scope, retry=retry), deliveries)
    guilty = scope is Scope.MESSAGE and retry is Retry.NEVER and deliveries >= ATTEMPTS
    assert found.action is (Action.BURY if guilty else Action.NAK)


@given(counts)
def test_a_bug_that_a_message_finds_is_given_a_few_chances(deliveries: int) -> None:
    found = dispose(RecursionError(), deliveries)
    assert found.action is (Action.BURY if deliveries >= ATTEMPTS else Action.NAK)


@given(counts)
def test_what_is_no_event_is_buried_and_what_lost_its_bytes_is_dropped_at_once(deliveries: int) -> None:
    assert dispose(EventError("x"), deliveries).action is Action.BURY
    assert dispose(BodyMissing("x"), deliveries).action is Action.DROP


def test_the_first_attempts_go_together_and_the_suspects_alone() -> None:
    assert [is_suspect(count) for count in (1, SUSPECT, SUSPECT + 1)] == [False, False, True]
    assert [is_hopeless(count) for count in (1, CRASHES, CRASHES + 1)] == [False, False, True]
    # A message must be alone long before it can be given up unseen.
    assert SUSPECT < ATTEMPTS < CRASHES


@given(errors)
def test_the_process_waits_for_what_concerns_all_messages_alone(error: Exception) -> None:
    if is_passing(error):
        assert dispose(error, 10_000).action is Action.NAK
        assert getattr(error, "scope", None) is Scope.PROCESS
