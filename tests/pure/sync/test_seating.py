"""Connections to one host: bounded, paced, fair."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mailcore.sync.seating import Pace, Waiting, choose, for_bulk, for_live

requests = st.builds(Waiting, st.sampled_from("abc"), st.booleans(), st.booleans(), st.integers(0, 99))
held = st.dictionaries(st.sampled_from("abc"), st.integers(1, 5)).map(Counter)


@given(st.lists(requests), held, st.integers(0, 15), st.integers(3, 20))
def test_the_bounds_hold_whatever_is_wanted(waiting: list[Waiting], held: Counter[str], live: int, limit: int) -> None:
    chosen = choose(waiting, held, live, limit)

    if chosen is not None:
        assert held.total() < limit
        assert not chosen.live or live < for_live(limit)
    elif held.total() < limit:
        assert all(one.live for one in waiting), "looking waits only for a host that is full"


@given(st.integers(3, 1000))
def test_idling_and_fetching_together_leave_room_to_look(limit: int) -> None:
    assert for_live(limit) >= 1
    assert for_bulk(limit) >= 1
    assert for_live(limit) + for_bulk(limit) < limit


def test_an_account_in_trouble_waits_until_the_others_are_in() -> None:
    broken = Waiting("broken", live=False, troubled=True, number=1)
    sound = Waiting("sound", live=True, troubled=False, number=2)

    assert choose([broken, sound], Counter(sound=9), 9, 20) is sound
    assert choose([broken], Counter(sound=9), 9, 20) is broken


@given(st.integers(3, 40), st.lists(st.integers(1, 30), min_size=2, max_size=4))
def test_a_host_that_is_full_is_shared_evenly(limit: int, wanted: list[int]) -> None:
    waiting = [
        Waiting(str(account), live=False, troubled=False, number=account * 100 + number)
        for account, count in enumerate(wanted)
        for number in range(count)
    ]
    sat: Counter[str] = Counter()
    while (chosen := choose(waiting, sat, 0, limit)) is not None:
        waiting.remove(chosen)
        sat[chosen.account] += 1

    assert sat.total() == min(limit, sum(wanted))
    still_waiting = {one.account for one in waiting}
    assert all(sat[account] >= max(sat.values()) - 1 for account in still_waiting)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.5, 50), st.integers(1, 5))
def test_no_second_holds_more_than_the_rate_and_the_burst(gaps: list[float], rate: float, burst: int) -> None:
    pace, now, gone = Pace(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        now += pace.wait(now)
        pace.went(now)
        gone.append(now)

    for began in gone:
        assert sum(began <= moment < began + 1 for moment in gone) <= rate + burst + 0.001


def test_a_login_after_a_quiet_time_waits_for_nothing() -> None:
    pace = Pace(5)
    for _ in range(3):
        assert pace.wait(100.0) == 0
        pace.went(100.0)
    assert 0.19 < pace.wait(100.0) < 0.21
    assert pace.wait(101.0) == 0
