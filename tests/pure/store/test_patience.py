"""How long whoever asks waits for the database in all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailcore.store.patience import Patience, current, within

STEPS = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40)


@given(st.integers(1, 100), STEPS)
def test_time_in_which_somebody_waits_counts_once_and_other_time_does_not(
    seconds: int, steps: list[tuple[int, bool]]
) -> None:
    patience, now, open_calls, waited = Patience(seconds), 0, 0, 0
    for passed, begins in steps:
        now += passed
        waited += passed if open_calls else 0
        if begins:
            end = patience.begin(now)
            open_calls += 1
            if open_calls == 1 or waited <= seconds:
                assert end == (now + max(seconds - waited, 0), seconds)
        elif open_calls:
            patience.end(now)
            open_calls -= 1


def test_a_call_that_begins_when_all_is_used_up_is_given_up_at_once() -> None:
    patience = Patience(10)
    assert patience.begin(0).at == 10
    patience.end(7)
    assert patience.begin(100).at == 103
    patience.end(110)
    assert patience.begin(200).at == 200


def test_one_inside_another_is_part_of_it_and_the_first_end_holds() -> None:
    outer = Patience(10)
    assert Patience(3, outer).begin(0) == (3, 3)
    inner = Patience(3, outer)
    inner.begin(2)
    inner.end(4)
    assert inner.begin(8) == (9, 3)
    assert Patience(3, outer).begin(8) == (10, 10)


def test_the_innermost_patience_holds_and_none_is_none() -> None:
    assert current() is None
    with within(10):
        outer = current()
        with within(3):
            inner = current()
            assert inner is not None
            assert inner.seconds == 3
        assert current() is outer
        with within(None):
            assert current() is outer
    assert current() is None
