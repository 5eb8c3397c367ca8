"""Sign-ins that are under way: of one session, once, for a while."""

from __future__ import annotations

from api.guard.authorization import LIFETIME, Authorization, Authorizations
from mailcore.account import Account


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(session_id: str = "s") -> Authorization:
    oauth = {"provider": "google", "client_id": "c", "client_secret": "hidden-secret"}
    account = Account.model_validate({"name": "a", "host": "h", "user": "u", "auth": "oauth", "oauth": oauth})
    return Authorization(session_id, account, "https://h/", "hidden-verifier", {"oauth": oauth}, {})


def test_it_is_good_once_in_the_session_that_began_it() -> None:
    every, one = Authorizations(Clock()), begun()
    every.begin("state", one)
    assert every.take("other", "s") is None
    assert every.take("state", "other") is None
    assert every.take("state", "") is None
    assert every.take("state", "s") is one
    assert every.take("state", "s") is None


def test_it_ends_after_ten_minutes() -> None:
    clock = Clock()
    every = Authorizations(clock)
    every.begin("state", begun())
    clock.now = LIFETIME
    assert every.take("state", "s") is None


def test_those_that_nobody_ends_do_not_pile_up() -> None:
    every = Authorizations(Clock())
    for number in range(1_000):
        every.begin(str(number), begun())
    taken = [number for number in range(1_000) if every.take(str(number), "s")]
    assert taken == list(range(900, 1_000))


def test_it_shows_no_secret() -> None:
    assert "hidden" not in repr(begun())
