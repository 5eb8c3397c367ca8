"""How one account opens connections: one login at a time; a refused account is left alone; idle ones are used again."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio

from mailcore.aio import aio, aio_bounded
from mailcore.errors import ConnectionLost, ImapError, Retry, Scope
from mailcore.sync.retry import pause, verdict
from syncer.imap.connection import Endpoint, ImapConnection

log = structlog.get_logger(__name__)
HURRY_PAUSE = 5.0  # between two logins of a refused account, however impatient people are


class Gate:
    """All connections of one account go through here."""

    def __init__(self, account: str, endpoint: Endpoint) -> None:
        self.account = account
        self.endpoint = endpoint
        self.refused = ""
        self._failures = 0
        self._not_before = float("-inf")
        self._last_try = float("-inf")
        self._retry = Retry.LATER
        self._accepted = trio.Event()
        self._login = trio.Lock()

    async def connect(self) -> ImapConnection:
        """A connection that is logged in. Raises ImapError; while the account is being left alone, its last refusal."""
        async with self._login:
            if trio.current_time() < self._not_before:
                raise ImapError(self.refused, scope=Scope.ACCOUNT, retry=self._retry)
            self._last_try = trio.current_time()
            try:
                with trio.fail_after(self.endpoint.connect_timeout * 3):
                    connection = await aio(ImapConnection.open, self.endpoint)
            except trio.TooSlowError:
                where = f"{self.endpoint.host}:{self.endpoint.port}"
                raise ConnectionLost(f"{where} did not finish the login in time; is it an IMAP server?") from None
            except ImapError as error:
                if error.scope is Scope.ACCOUNT:
                    self._refuse(error)
                raise
            if self.refused:
                log.info("account accepted again", account=self.account)
            self.refused, self._failures = "", 0
            self._accepted.set()
            return connection

    def hurry(self) -> None:
        """Somebody asks: do not wait for the next try, unless the last one was only just."""
        self._not_before = min(self._not_before, self._last_try + HURRY_PAUSE)

    async def pause(self, seconds: float) -> None:
        """Sleep; when the account is refused, no longer than until it is accepted again."""
        with trio.move_on_after(seconds):
            if self.refused:
                await self._accepted.wait()
            else:
                await trio.sleep_forever()

    def _refuse(self, error: ImapError) -> None:
        self._failures += 1
        self._retry = error.retry
        self._accepted = trio.Event()
        wait = pause(self._failures, verdict(error), random.random)
        self._not_before = trio.current_time() + wait
        self.refused = str(error)
        log.error("account refused", account=self.account, error=self.refused, next_try_s=round(wait))


class Pool:
    """Connections for looking and for bulk work, apart from the live ones; bulk work always leaves one for looking."""

    def __init__(self, gate: Gate, size: int = 3) -> None:
        self.gate = gate
        self._all = trio.CapacityLimiter(size)
        self._bulk = trio.CapacityLimiter(size - 1)
        self._idle: list[ImapConnection] = []

    @asynccontextmanager
    async def look(self) -> AsyncIterator[ImapConnection]:
        """A connection with no mailbox selected. An error inside the block ends the connection."""
        async with self._all:
            while self._idle and self._idle[-1].closed:
                self._idle.pop()
            connection = self._idle.pop() if self._idle else await self.gate.connect()
            try:
                yield connection
            except BaseException:
                connection.kill()
                raise
            if not connection.closed:
                self._idle.append(connection)

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[ImapConnection]:
        """The same for work that takes long."""
        async with self._bulk, self.look() as connection:
            yield connection

    async def close(self) -> None:
        """Log out of what is idle; shielded and bounded."""
        for connection in self._idle:
            await aio_bounded(1.0, connection.logout)
            connection.kill()
        self._idle.clear()
