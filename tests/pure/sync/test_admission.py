"""Connections to one server: bounded, paced, fair."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailcore.sync.admission import AT_ONCE, TROUBLED_AT_ONCE, Pace, Queue, Waiting, for_bulk, for_live

ACCOUNTS = st.sampled_from("abcd")


def choose(waiting: Iterable[Waiting], held: Mapping[str, int], live: int, limit: int, troubled: int) -> Waiting | None:
    """What the queue is to say, by looking at everybody."""
    possible = [
        one
        for one in waiting
        if (not one.live or live < for_live(limit)) and (not one.troubled or troubled < TROUBLED_AT_ONCE)
    ]
    return min(possible, key=lambda one: (one.troubled, held.get(one.account, 0), one.number), default=None)


class AQueue(RuleBasedStateMachine):
    """Accounts come, give up, get connections and lose them, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 40
        self.queue = Queue(self.limit)
        self.numbers = itertools.count()
        self.waiting: list[Waiting] = []
        self.held: list[tuple[str, bool]] = []
        self.under_way: list[bool] = []

    @property
    def live(self) -> int:
        return sum(live for _, live in self.held)

    @rule(account=ACCOUNTS, live=st.booleans(), troubled=st.booleans(), times=st.integers(1, 10))
    def comes(self, account: str, live: bool, troubled: bool, times: int) -> None:
        for _ in range(times):
            waiting = Waiting(account, live, troubled, next(self.numbers))
            self.waiting.append(waiting)
            self.queue.add(waiting)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def gives_up(self, data: st.DataObject) -> None:
        waiting = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.queue.withdraw(waiting)
        self.queue.withdraw(waiting)  # who got a connection says so, too

    @rule(times=st.integers(1, 20))
    def the_first_is_granted(self, times: int) -> None:
        for _ in range(times):
            first = self.queue.first()
            if first is None or self.queue.full or self.queue.busy:
                return
            self.queue.grant(first)
            self.waiting.remove(first)
            self.held.append((first.account, first.live))
            self.under_way.append(first.troubled)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_login_ends(self, data: st.DataObject) -> None:
        self.queue.logged_in(troubled=self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1))))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        account, live = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.queue.release(account, live=live)

    @precondition(lambda self: any(not live for _, live in self.held))
    @rule()
    def begins_to_idle(self) -> None:
        wanted = self.live + sum(one.live for one in self.waiting)
        begins = self.queue.idle()
        assert begins == (wanted < for_live(self.limit)), "nobody who waits to idle has less room by it"
        if begins:
            account = next(account for account, live in self.held if not live)
            self.held.remove((account, False))
            self.held.append((account, True))

    @invariant()
    def it_says_what_looking_at_everybody_says(self) -> None:
        held = Counter(account for account, _ in self.held)
        assert self.queue.first() is choose(self.waiting, held, self.live, self.limit, sum(self.under_way))

    @invariant()
    def the_bounds_hold(self) -> None:
        assert len(self.held) <= self.limit
        assert self.live <= for_live(self.limit)
        assert sum(self.under_way) <= TROUBLED_AT_ONCE
        assert self.queue.busy == (len(self.under_way) == AT_ONCE)
        assert self.queue.full == (len(self.held) == self.limit)
        assert self.queue.full_for_live == (self.live == for_live(self.limit))


TestAQueue = AQueue.TestCase
TestAQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.integers(3, 1000))
def test_idling_and_fetching_together_leave_room_to_look(limit: int) -> None:
    assert for_live(limit) >= 1
    assert for_bulk(limit) >= 1
    assert for_live(limit) + for_bulk(limit) < limit


@given(st.integers(3, 40), st.lists(st.integers(1, 30), min_size=2, max_size=4))
def test_a_server_that_is_full_is_shared_evenly(limit: int, wanted: list[int]) -> None:
    queue = Queue(limit)
    for account, count in enumerate(wanted):
        for number in range(count):
            queue.add(Waiting(str(account), live=False, troubled=False, number=account * 100 + number))
    held: Counter[str] = Counter()
    while (first := queue.first()) is not None and not queue.full:
        queue.grant(first)
        held[first.account] += 1

    assert held.total() == min(limit, sum(wanted))
    still_waiting = {str(account) for account, count in enumerate(wanted) if held[str(account)] < count}
    assert all(held[account] >= max(held.values()) - 1 for account in still_waiting)


@given(st.lists(st.tuples(ACCOUNTS, st.booleans()), max_size=60))
def test_whoever_waits_is_passed_by_accounts_with_no_more_connections_and_by_each_only_until_it_has_as_many(
    others: list[tuple[str, bool]],
) -> None:
    """Nobody starves: an account is passed at most as often as others come with fewer connections than it."""
    queue, numbers, held = Queue(1000), itertools.count(), Counter({"patient": 2})
    for _ in range(2):
        early = Waiting("patient", live=False, troubled=False, number=next(numbers))
        queue.add(early)
        queue.grant(early)
    patient = Waiting("patient", live=False, troubled=False, number=next(numbers))
    queue.add(patient)
    for account, live in others:
        queue.add(Waiting(account, live, False, next(numbers)))
    while (first := queue.first()) is not patient:
        assert first is not None
        assert held[first.account] < 2
        queue.grant(first)
        held[first.account] += 1


class _Counting(int):
    """A number that counts how often it was compared."""

    compared = 0

    def __lt__(self, other: object) -> bool:
        _Counting.compared += 1
        return int.__lt__(self, int(other))  # type: ignore[call-overload]

    def __gt__(self, other: object) -> bool:
        _Counting.compared += 1
        return int.__gt__(self, int(other))  # type: ignore[call-overload]


def test_a_thousand_who_wait_cost_a_few_comparisons_each() -> None:
    number = 1000
    _Counting.compared = 0
    queue = Queue(10 * number)
    for place in range(number):
        for kind in (False, True):
            queue.add(Waiting(str(place), kind, False, _Counting(2 * place + kind)))
    served = 0
    while (first := queue.first()) is not None:
        queue.grant(first)
        served += 1

    assert served == 2 * number
    assert _Counting.compared < 20 * number * math.log2(number), "n log n; all with all would be a million"


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
