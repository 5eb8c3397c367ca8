"""Who may connect to a server next: bounded connections, logins at a steady pace, fair among accounts. Pure.

Connections that idle are held for ever, so they never get all: a quarter is left for looking and fetching, and half of
that for looking alone. Otherwise a server that is full could not be swept any more, and mail would be missed.

Logins that are under way at once are bounded, too: where the server (or this process) is slower than the pace, more of
them would only make each slower, until all run into their deadlines.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass

AT_ONCE = 64  # logins under way
TROUBLED_AT_ONCE = 16  # of those, of accounts whose last login failed: each may hang until its deadline
_Entry = tuple[bool, int, int, "Waiting"]

# Where the provider counts by account (mailcore/discovery/preset.py).
BY_ACCOUNT_LIMIT = 1 << 16
BY_ACCOUNT_RATE = 50.0


@dataclass(frozen=True, slots=True, eq=False)
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


class Queue:
    """Who waits for a connection to one server, and how many connections each account has.

    Who is not in trouble comes first, so that logins that fail never delay those that work; then whoever has the fewest
    connections, so that an account with many mailboxes takes no more than what the others leave; then who came first.

    Whatever changes costs O(log n) for each request of the account that it is about, so an account should keep few in
    here at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._for_live = for_live(limit)
        self._held: Counter[str] = Counter()
        self._total = 0
        self._under_way: Counter[bool] = Counter()  # logins, by whether the account is in trouble
        self._live = 0
        self._waiting: dict[str, list[Waiting]] = {}
        # Entries are left behind when what they say of their account is no longer so; `first` drops those.
        self._heaps: dict[bool, list[_Entry]] = {True: [], False: []}
        self._counts = {True: 0, False: 0}

    @property
    def full(self) -> bool:
        """There are as many connections as may be."""
        return self._total >= self._limit

    @property
    def busy(self) -> bool:
        """There are as many logins under way as may be."""
        return self._under_way.total() >= AT_ONCE

    @property
    def full_for_live(self) -> bool:
        """None may begin to idle now."""
        return self._live >= self._for_live

    def add(self, waiting: Waiting) -> None:
        """It waits from now on."""
        self._waiting.setdefault(waiting.account, []).append(waiting)
        self._counts[waiting.live] += 1
        self._push(waiting)

    def withdraw(self, waiting: Waiting) -> None:
        """It waits no longer; nothing if it did not."""
        ours = self._waiting.get(waiting.account, [])
        if waiting not in ours:
            return
        ours.remove(waiting)
        self._counts[waiting.live] -= 1
        if not ours:
            del self._waiting[waiting.account]

    def first(self) -> Waiting | None:
        """The next to be granted, as soon as the server is neither full nor busy. None: nobody waits, or all that do
        wait to idle and no more may, or are in trouble like enough of those under way."""
        tops = self._top(False) if self.full_for_live else self._top(False) + self._top(True)
        first = min(tops)[-1] if tops else None
        if first is not None and first.troubled and self._under_way[True] >= TROUBLED_AT_ONCE:
            return None
        return first

    def grant(self, waiting: Waiting) -> None:
        """Its login begins."""
        self.withdraw(waiting)
        self._under_way[waiting.troubled] += 1
        self._live += waiting.live
        self._count(waiting.account, 1)

    def logged_in(self, *, troubled: bool) -> None:
        """A login has ended, whichever way."""
        self._under_way[troubled] -= 1

    def release(self, account: str, *, live: bool) -> None:
        """A connection of `account` has ended."""
        self._live -= live
        self._count(account, -1)

    def idle(self) -> bool:
        """Let a connection that somebody has begin to idle; False if others wait for that who would have to go on
        waiting for it."""
        if self._live + self._counts[True] >= self._for_live:
            return False
        self._live += 1
        return True

    def _count(self, account: str, change: int) -> None:
        self._total += change
        self._held[account] += change
        if not self._held[account]:
            del self._held[account]
        for waiting in self._waiting.get(account, ()):
            self._push(waiting)

    def _push(self, waiting: Waiting) -> None:
        heap = self._heaps[waiting.live]
        if len(heap) > 2 * self._counts[waiting.live] + 64:
            heap[:] = [entry for entry in heap if self._holds(entry)]
            heapq.heapify(heap)
        heapq.heappush(heap, (waiting.troubled, self._held[waiting.account], waiting.number, waiting))

    def _top(self, live: bool) -> list[_Entry]:
        heap = self._heaps[live]
        while heap and not self._holds(heap[0]):
            heapq.heappop(heap)
        return heap[:1]

    def _holds(self, entry: _Entry) -> bool:
        _, held, _, waiting = entry
        return held == self._held[waiting.account] and waiting in self._waiting.get(waiting.account, ())


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
