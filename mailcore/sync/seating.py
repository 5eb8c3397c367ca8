"""Who may connect to a host next: a bounded number of connections, logins at a steady pace, fair among accounts. Pure.

Connections that idle are held for ever, so they never get all: a quarter is left for looking and fetching, and half of
that for looking alone. Otherwise a host that is full could not be swept any more, and mail would be missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request for a connection. `troubled`: the account's last login failed. `number`: in the order of coming."""

    account: str
    live: bool
    troubled: bool
    number: int


def for_live(limit: int) -> int:
    """How many of `limit` connections may idle, at the most."""
    return limit - max(2, limit // 4)


def for_bulk(limit: int) -> int:
    """How many may fetch at once."""
    return max(1, max(2, limit // 4) // 2)


def choose(waiting: Iterable[Waiting], held: Mapping[str, int], live: int, limit: int) -> Waiting | None:
    """The request to grant now, or None. `held` are the connections of each account, `live` those that idle.

    Who is not in trouble comes first, so that logins that fail never delay those that work; then whoever has the fewest
    connections, so that an account with many mailboxes takes no more than what the others leave.
    """
    if sum(held.values()) >= limit:
        return None
    possible = [one for one in waiting if not one.live or live < for_live(limit)]
    return min(possible, key=lambda one: (one.troubled, held.get(one.account, 0), one.number), default=None)


@dataclass(slots=True)
class Pace:
    """So many a second, after a burst of `burst` at once (the generic cell rate algorithm, ITU-T I.371)."""

    rate: float
    burst: int = 3
    _due: float = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next one may go."""
        return max(0.0, self._due - (self.burst - 1) / self.rate - now)

    def went(self, now: float) -> None:
        """One goes now."""
        self._due = max(self._due, now) + 1 / self.rate
