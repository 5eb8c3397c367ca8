"""One IMAP server, as all our accounts there share it: how many connections, and how fast they log in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import trio

from mailcore.aio import aio_bounded
from mailcore.discovery.preset import counts_by_account
from mailcore.sync.admission import BY_ACCOUNT_LIMIT, BY_ACCOUNT_RATE, Pace, Queue, Waiting, for_bulk
from syncer.imap.connection import Endpoint, ImapConnection

_FAREWELL: Final = 1.0  # seconds for the LOGOUT of a connection that makes room


class Permit:
    """The right to one login, which ends with `logged_in()`, and to the connection that it makes, until `leave()`."""

    def __init__(self, server: Server, account: str, *, live: bool, troubled: bool) -> None:
        self._server = server
        self.account = account
        self.live = live
        self.troubled = troubled
        self._under_way = True
        self._left = False

    def idle(self) -> bool:
        """From now on for a connection that idles; False if others come before."""
        return self.live or self._server.may_idle(self)

    def logged_in(self) -> None:
        """The login has ended, whichever way. Idempotent."""
        if self._under_way:
            self._under_way = False
            self._server.logged_in(self)

    def leave(self) -> None:
        """From any task, also from the asyncio side of the same thread. Idempotent."""
        self.logged_in()
        if not self._left:
            self._left = True
            self._server.left(self)


class Server:
    """At most `limit` connections, `bulk` of them for bulk work, at most `rate` logins a second. Accounts at other
    servers share nothing with these.

    Of those who wait, only the first of the queue is ever woken.
    """

    def __init__(self, limit: int, rate: float, bulk: int | None = None) -> None:
        self.limit = limit
        self.bulk = trio.CapacityLimiter(bulk or for_bulk(limit))
        self._pace = Pace(rate)
        self._queue = Queue(limit)
        self._numbers = itertools.count()
        self._turns: dict[Waiting, trio.Event] = {}
        self._untold: dict[Waiting, Callable[[], None]] = {}
        self._resting: dict[ImapConnection, None] = {}  # logged in and unused, the longest first

    @property
    def full_for_live(self) -> bool:
        """No connection may begin to idle now."""
        return self._queue.full_for_live

    async def permit(
        self, account: str, *, live: bool, troubled: bool, full: Callable[[], None] = lambda: None
    ) -> Permit:
        """Wait for room and for the pace; the login is to follow at once. `full` is told once, as soon as none may
        begin to idle."""
        waiting = Waiting(account, live, troubled, next(self._numbers))
        self._queue.add(waiting)
        if live:
            self._untold[waiting] = full
            self._tell_full()
        try:
            while True:
                turn = self._turns[waiting] = trio.Event()
                wait = float("inf")
                if self._queue.first() is waiting and not self._queue.busy:
                    if not self._queue.full:
                        wait = self._pace.wait(trio.current_time())
                        if wait == 0:
                            return self._grant(waiting)
                    elif self._resting:
                        await self._make_room()
                        continue
                with trio.move_on_after(wait):
                    await turn.wait()
        finally:
            del self._turns[waiting]
            self._untold.pop(waiting, None)
            self._queue.withdraw(waiting)
            self._wake()

    def rest(self, connection: ImapConnection) -> None:
        """It is unused for now; whoever needs its place may end it."""
        self._resting[connection] = None
        self._wake()

    def wake(self, connection: ImapConnection) -> bool:
        """Take it back from its rest; False if it has ended meanwhile."""
        rested = connection in self._resting
        self._resting.pop(connection, None)
        return rested and not connection.closed

    def may_idle(self, permit: Permit) -> bool:
        """Whether `permit`, which was for looking, is for idling from now on."""
        permit.live = self._queue.idle()
        self._tell_full()
        return permit.live

    def logged_in(self, permit: Permit) -> None:
        """The login of `permit` has ended."""
        self._queue.logged_in(troubled=permit.troubled)
        self._wake()

    def left(self, permit: Permit) -> None:
        """`permit` is free."""
        self._queue.release(permit.account, live=permit.live)
        self._wake()

    def _grant(self, waiting: Waiting) -> Permit:
        self._pace.went(trio.current_time())
        self._queue.grant(waiting)
        self._untold.pop(waiting, None)
        self._tell_full()
        return Permit(self, waiting.account, live=waiting.live, troubled=waiting.troubled)

    async def _make_room(self) -> None:
        oldest = next(iter(self._resting))
        del self._resting[oldest]
        try:
            await aio_bounded(_FAREWELL, oldest.logout)
        finally:
            oldest.kill()

    def _wake(self) -> None:
        first = self._queue.first()
        if first is not None:
            self._turns[first].set()

    def _tell_full(self) -> None:
        while self._untold and self.full_for_live:
            self._untold.pop(next(iter(self._untold)))()


class Servers:
    """All servers, each by name and port. `limit` and `rate` are of those that count by the client's address."""

    def __init__(self, limit: int, rate: float) -> None:
        self._limit = limit
        self._rate = rate
        self._servers: dict[tuple[str, int], Server] = {}

    def of(self, endpoint: Endpoint) -> Server:
        key = (endpoint.host.lower(), endpoint.port)
        if key not in self._servers:
            limit, rate = self._limit, self._rate
            if counts_by_account(endpoint.host):
                limit, rate = max(limit, BY_ACCOUNT_LIMIT), max(rate, BY_ACCOUNT_RATE)
            self._servers[key] = Server(limit, rate, for_bulk(self._limit))
        return self._servers[key]
