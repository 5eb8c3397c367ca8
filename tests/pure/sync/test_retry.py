"""I9: scope × retry. Nobody hammers, nobody gives up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import AuthenticationFailed, BusError, CommandFailed, ConnectionLost, MozzartError, Retry, Scope
from mailcore.sync.retry import LONGEST_PAUSE, SLOW_FIRST_PAUSE, SLOW_LONGEST_PAUSE, Verdict, leaves, pause, verdict

CHANCE = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), CHANCE)
def test_a_pause_is_never_zero_and_never_longer_than_its_bound(attempt: int, chance: float) -> None:
    for retry, longest in ((Retry.LATER, LONGEST_PAUSE), (Retry.NEVER, SLOW_LONGEST_PAUSE)):
        assert 0 < pause(attempt, Verdict(Scope.MAILBOX, retry, None, ""), lambda: chance) <= longest


@given(st.integers(1, 50), CHANCE, CHANCE)
def test_pauses_grow(attempt: int, one: float, other: float) -> None:
    found = Verdict(Scope.MAILBOX, Retry.LATER, None, "")
    assert pause(attempt, found, lambda: one) <= 2 * pause(attempt + 1, found, lambda: other)


@pytest.mark.invariant("I9")
@given(st.integers(1, 50), CHANCE, st.floats(0, 10_000))
def test_what_the_server_asks_for_is_a_lower_bound(attempt: int, chance: float, asked: float) -> None:
    assert pause(attempt, Verdict(Scope.MAILBOX, Retry.LATER, asked, ""), lambda: chance) >= asked


def test_now_is_at_once_but_only_once() -> None:
    found = Verdict(Scope.MAILBOX, Retry.NOW, None, "")
    assert pause(1, found, lambda: 0.5) == 0
    assert pause(2, found, lambda: 0.5) > 0


@pytest.mark.invariant("I9")
def test_bad_credentials_stop_the_account_slowly() -> None:
    found = verdict(AuthenticationFailed("no", retry=Retry.NEVER))
    assert found.scope is Scope.ACCOUNT
    assert pause(1, found, lambda: 0.0) >= SLOW_FIRST_PAUSE / 2


@pytest.mark.invariant("I9")
def test_the_broadest_scope_in_nested_groups_decides() -> None:
    group = ExceptionGroup(
        "a", [ConnectionLost("c"), ExceptionGroup("b", [CommandFailed("d"), BusError("nats is away")])]
    )
    found = verdict(group)
    assert (found.scope, found.text, found.known) == (Scope.PROCESS, "nats is away", True)
    assert len(leaves(group)) == 3


@pytest.mark.parametrize("error", [KeyError("x"), ExceptionGroup("g", [ConnectionLost("c"), ZeroDivisionError()])])
def test_a_bug_of_ours_is_seen_even_beside_known_errors(error: Exception) -> None:
    assert not verdict(error).known


@pytest.mark.parametrize("error", [OSError(5, "io"), TimeoutError("late"), MozzartError("m")])
def test_a_broken_network_is_tried_again(error: Exception) -> None:
    assert verdict(error).retry is Retry.LATER
    assert verdict(error).known
