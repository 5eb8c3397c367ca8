"""A budget of bytes a day, for any order of new and older mail and any pauses between."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from mailcore.sync.budget import DAY, HOUR, Budget

BEGAN = 1_780_000_000.0
LIMIT = 1000
PIECE = LIMIT // 10
PAUSES = st.floats(0, 3 * HOUR)
STEPS = st.lists(st.tuples(PAUSES, st.integers(1, PIECE), st.booleans()), max_size=200)
SPENT = st.lists(st.tuples(PAUSES, st.integers(1, 400)), max_size=60)


def times(pauses: list[float]) -> list[float]:
    return [BEGAN + after for after in accumulate(pauses)]


def after(spent: list[tuple[float, int]], limit: int = LIMIT) -> tuple[Budget, float]:
    """One that has fetched these, and the moment of the last."""
    budget, now = Budget(limit), BEGAN
    for now, (_, octets) in zip(times([pause for pause, _ in spent]), spent, strict=True):
        budget.fetched(octets, now)
    return budget, now


@given(STEPS)
def test_in_no_24_hours_older_mail_takes_what_is_kept_for_new_mail(steps: list[tuple[float, int, bool]]) -> None:
    budget, fetched = Budget(LIMIT), list[tuple[float, int]]()
    for now, (_, octets, older) in zip(times([pause for pause, _, _ in steps]), steps, strict=True):
        if older and budget.due(octets, now) > now:
            continue
        budget.fetched(octets, now)
        fetched.append((now, octets))
        if older:
            assert sum(count for at, count in fetched if at > now - DAY) <= LIMIT - PIECE


@given(SPENT, st.integers(1, 3 * PIECE))
def test_older_mail_goes_on_at_the_first_moment_at_which_there_is_room(
    spent: list[tuple[float, int]], octets: int
) -> None:
    budget, now = after(spent)
    due = budget.due(octets, now)
    assert now <= due <= now + DAY + HOUR
    assert budget.due(octets, due) == due
    if due > now:
        assert budget.due(octets, due - 1) > due - 1


@given(SPENT, st.integers(1, 10**9))
def test_without_a_bound_nothing_waits(spent: list[tuple[float, int]], octets: int) -> None:
    budget, now = after(spent, 0)
    assert budget.due(octets, now) == now


@given(SPENT, SPENT)
def test_what_was_kept_counts_as_if_there_had_been_no_restart(
    before: list[tuple[float, int]], since: list[tuple[float, int]]
) -> None:
    whole, now = after([*before, *since])
    first, middle = after(before)
    second = Budget(LIMIT)
    for at, (_, octets) in zip(times([pause for pause, _ in [*before, *since]])[len(before) :], since, strict=True):
        second.fetched(octets, at)
    second.restore(first.hours, first.messages, first.octets)
    assert middle <= now
    assert second.spent(now) == whole.spent(now)
    assert second.due(1, now) == whole.due(1, now)


def test_what_is_under_way_counts_until_it_has_ended() -> None:
    budget = Budget(LIMIT)
    budget.begin(LIMIT - PIECE)
    assert budget.due(1, BEGAN) > BEGAN
    budget.end(LIMIT - PIECE)
    assert budget.due(PIECE, BEGAN) == BEGAN


def test_a_message_larger_than_the_budget_is_fetched_when_there_is_room_for_a_piece() -> None:
    budget = Budget(LIMIT)
    budget.fetched(LIMIT - 2 * PIECE, BEGAN)
    assert budget.due(50 * LIMIT, BEGAN) == BEGAN


def test_what_is_to_come_is_done_after_so_many_days_as_it_is_budgets() -> None:
    budget = Budget(LIMIT)
    assert budget.done(5, BEGAN) is None, "nobody knows how large they are"
    budget.saw(100)
    budget.saw(200)
    done = budget.done(18, BEGAN)
    assert done is not None
    assert round((done - BEGAN) / DAY, 3) == 3
    assert Budget(0).done(5, BEGAN) is None


@given(SPENT)
def test_what_counts_no_more_is_not_kept(spent: list[tuple[float, int]]) -> None:
    budget, now = after(spent)
    budget.fetched(1, now)
    assert len(budget.hours) <= 26
