"""One IMAP server, as all our accounts there share it: how many connections, and how fast they log in."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from mailcore.aio import aio_bounded
from mailcore.sync.seating import Pace, Waiting, choose, for_bulk, for_live
from syncer.imap.connection import Endpoint, ImapConnection

_FAREWELL: Final = 1.0  # seconds for the LOGOUT of a connection that makes room


class Seat:
    """The right to one connection; given back by `leave()`, once."""

    def __init__(self, host: Host, account: str, *, live: bool) -> None:
        self._host = host
        self.account = account
        self.live = live
        self._left = False

    def leave(self) -> None:
        """From any task, also from the asyncio side of the same thread. Idempotent."""
        if not self._left:
            self._left = True
            self._host.left(self)


class Host:
    """At most `limit` connections, at most `rate` logins a second. Accounts at other hosts share nothing with these."""

    def __init__(self, limit: int, rate: float) -> None:
        self.limit = limit
        self.bulk = trio.CapacityLimiter(for_bulk(limit))
        self._pace = Pace(rate)
        self._held: Counter[str] = Counter()
        self._live = 0
        self._waiting: list[Waiting] = []
        self._numbers = itertools.count()
        self._changed = trio.Event()
        self._resting: dict[ImapConnection, None] = {}  # logged in and unused, the longest first

    @property
    def full_for_live(self) -> bool:
        """No connection may begin to idle now."""
        return self._live >= for_live(self.limit)

    async def seat(self, account: str, *, live: bool, troubled: bool, full: Callable[[], None] = lambda: None) -> Seat:
        """Wait for room and for the pace; the login is to follow at once. `full` is told, perhaps often, while
        none may begin to idle."""
        request = Waiting(account, live, troubled, next(self._numbers))
        self._waiting.append(request)
        try:
            while True:
                wait = self._pace.wait(trio.current_time())
                if wait == 0 and choose(self._waiting, self._held, self._live, self.limit) is request:
                    return self._sit(request)
                changed = self._changed
                if live and self.full_for_live:
                    full()
                if self._held.total() >= self.limit and self._resting and not (live and self.full_for_live):
                    await self._make_room()
                    continue
                with trio.move_on_after(wait or float("inf")):
                    await changed.wait()
        finally:
            self._waiting.remove(request)
            self._tell()

    def rest(self, connection: ImapConnection) -> None:
        """It is unused for now; whoever needs its place may end it."""
        self._resting[connection] = None
        self._tell()

    def wake(self, connection: ImapConnection) -> bool:
        """Take it back from its rest; False if it has ended meanwhile."""
        rested = connection in self._resting
        self._resting.pop(connection, None)
        return rested and not connection.closed

    def left(self, seat: Seat) -> None:
        """`seat` is free."""
        self._held[seat.account] -= 1
        if not self._held[seat.account]:
            del self._held[seat.account]
        self._live -= seat.live
        self._tell()

    def _sit(self, request: Waiting) -> Seat:
        self._pace.went(trio.current_time())
        self._held[request.account] += 1
        self._live += request.live
        return Seat(self, request.account, live=request.live)

    async def _make_room(self) -> None:
        oldest = next(iter(self._resting))
        del self._resting[oldest]
        try:
            await aio_bounded(_FAREWELL, oldest.logout)
        finally:
            oldest.kill()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


class Hosts:
    """All servers, each by name and port."""

    def __init__(self, limit: int, rate: float) -> None:
        self._limit = limit
        self._rate = rate
        self._hosts: dict[tuple[str, int], Host] = {}

    def of(self, endpoint: Endpoint) -> Host:
        key = (endpoint.host.lower(), endpoint.port)
        if key not in self._hosts:
            self._hosts[key] = Host(self._limit, self._rate)
        return self._hosts[key]
