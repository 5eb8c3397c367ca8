"""How often one may guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.guard.ratelimit import Budget, client_of


def test_a_burst_is_free_and_then_it_is_so_many_a_minute() -> None:
    budget = Budget(burst=3, per_minute=6)
    for _ in range(3):
        assert budget.wait("a", 100) == 0
        budget.spend("a", 100)

    assert budget.wait("a", 100) == pytest.approx(10)
    assert budget.wait("a", 104) == pytest.approx(6)
    assert budget.wait("a", 110) == 0
    assert budget.wait("b", 100) == 0, "another client's guesses are its own"


def test_who_knew_has_a_full_budget_again() -> None:
    budget = Budget(burst=1)
    budget.spend("a", 0)
    assert budget.wait("a", 0) > 0

    budget.refund("a")
    assert budget.wait("a", 0) == 0


@given(st.lists(st.floats(0, 30), max_size=200))
def test_nobody_guesses_more_than_the_budget_whatever_the_rhythm(pauses: list[float]) -> None:
    budget, now, guesses = Budget(burst=5, per_minute=10), 0.0, 0
    for pause in pauses:
        now += pause
        if budget.wait("a", now) == 0:
            budget.spend("a", now)
            guesses += 1
        assert 0 <= budget.wait("a", now) <= 6.0 + 1e-6, "and nobody waits longer than for one guess"

    assert guesses <= 5 + now / 6 + 1e-6


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    budget = Budget(burst=1, clients=2)
    for client in "abc":
        budget.spend(client, 0)

    assert [budget.wait(client, 0) > 0 for client in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "local"),
        (None, "local"),
        ("/run/api.sock", "local"),
    ],
)
def test_a_client_is_an_address_or_the_network_that_one_customer_has(remote: str | None, client: str) -> None:
    assert client_of(remote) == client
