"""An account that its server refuses is left alone, longer and longer, whatever it refuses and whoever asks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import AuthenticationFailed, CommandFailed, ImapError, Scope
from mailcore.sync.refusal import FIRST_PAUSE, FORGOTTEN, LONGEST_PAUSE, Refusals

LIMIT = CommandFailed("slow down", code="LIMIT", scope=Scope.ACCOUNT)
chances = st.floats(0, 1, exclude_max=True)


def named(seconds: float) -> ImapError:
    return CommandFailed("later", scope=Scope.ACCOUNT, retry_after=seconds)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), chances), min_size=7, max_size=60))
def test_refusals_are_at_most_six_a_minute_whoever_is_in_a_hurry(tries: list[tuple[bool, bool, bool, float]]) -> None:
    refusals, now, refused = Refusals(), 0.0, []
    for login, hurried, worked_before, chance in tries:
        if hurried:
            refusals.hurry(now)
        now = max(now, refusals.until)
        if worked_before:
            refusals.logged_in()
            refusals.accepted(now)
        refusals.add(LIMIT, now, lambda: chance, login=login)  # noqa: B023  # called at once
        refused.append(now)

    for began in refused:
        assert sum(began <= moment < began + 60 for moment in refused) <= 6


@given(chances, st.booleans())
def test_pauses_double_up_to_a_quarter_of_an_hour(chance: float, login: bool) -> None:
    refusals, now, pauses = Refusals(), 0.0, []
    for _ in range(12):
        refusals.add(LIMIT, now, lambda: chance, login=login)
        pauses.append(refusals.until - now)
        now = refusals.until

    assert FIRST_PAUSE / 2 <= pauses[0] <= FIRST_PAUSE
    assert LONGEST_PAUSE / 2 <= pauses[-1] <= LONGEST_PAUSE
    assert all(one <= other + 60 for one, other in pairwise(pauses))


@given(st.floats(0, 86_400), chances)
def test_what_the_server_names_is_kept_also_when_somebody_hurries(seconds: float, chance: float) -> None:
    refusals = Refusals()
    refusals.add(named(seconds), 100.0, lambda: chance, login=False)
    refusals.hurry(100.0)

    assert refusals.until >= 100.0 + seconds


def test_who_hurries_waits_five_seconds_instead_of_minutes() -> None:
    refusals = Refusals()
    refusals.add(AuthenticationFailed("no"), 100.0, lambda: 0.5, login=True)
    assert refusals.until > 115
    refusals.hurry(101.0)

    assert refusals.until == 105.0


def test_a_login_that_works_ends_a_row_of_refused_logins_and_not_one_of_refused_commands() -> None:
    refusals = Refusals()
    refusals.add(LIMIT, 0.0, lambda: 0.0, login=True)
    assert refusals.logged_in()
    assert refusals.until < 0

    refusals.add(LIMIT, 0.0, lambda: 0.0, login=False)
    assert not refusals.logged_in()
    assert refusals.until > 0
    assert not refusals.accepted(1.0), "that command was under way when the pause began"
    assert refusals.accepted(refusals.until)
    assert refusals.until < 0


def test_commands_refused_together_are_one_refusal() -> None:
    refusals = Refusals()
    for _ in range(10):
        refusals.add(LIMIT, 0.0, lambda: 0.0, login=False)
    assert refusals.until == FIRST_PAUSE / 2

    refusals.add(named(300), 1.0, lambda: 0.0, login=False)
    assert refusals.until == 301.0


def test_a_refusal_long_after_the_last_one_is_a_first_one() -> None:
    refusals, now = Refusals(), 0.0
    for _ in range(8):
        refusals.add(LIMIT, now, lambda: 0.0, login=False)
        now = refusals.until
    now += FORGOTTEN + 1
    refusals.add(LIMIT, now, lambda: 0.0, login=False)

    assert refusals.until == now + FIRST_PAUSE / 2
