"""The connections of one account: who may have one, and those that rest are used again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from mailcore.aio import aio_bounded
from mailcore.settings import Account
from syncer.gate import Gate
from syncer.host import Host
from syncer.imap.connection import Endpoint, ImapConnection

log = structlog.get_logger(__name__)


class Pool:
    """Those that idle, and a few for looking and for bulk work, which always leaves one for looking."""

    def __init__(self, account: Account, host: Host) -> None:
        self.gate = Gate(account.name, Endpoint.of(account), host)
        self.gate.crowded = self._shrink
        size = max(2, min(3, account.connections // 3))
        self._all = trio.CapacityLimiter(size)
        self._bulk = trio.CapacityLimiter(size - 1)
        self._live = trio.CapacityLimiter(account.connections - size)
        self._full = f"all {account.connections} connections of the account ({account.setting('connections')})"
        self._host_full = f"all that may idle of the {host.limit} connections to the host (HOST_CONNECTIONS)"
        self._idle: list[ImapConnection] = []
        self._idling: dict[ImapConnection, None] = {}

    @asynccontextmanager
    async def live(self, full: Callable[[str], None]) -> AsyncIterator[ImapConnection]:
        """A connection that will idle, logged out at the end. `full` has been told why while there is no room."""
        if not self._live.available_tokens:
            full(self._full)
        async with self._live:
            connection = await self.gate.connect(lambda: full(self._host_full))
            self._idling[connection] = None
            try:
                yield connection
            finally:
                del self._idling[connection]
                if not connection.closed:
                    await aio_bounded(1.0, connection.logout)
                connection.kill()

    @asynccontextmanager
    async def look(self) -> AsyncIterator[ImapConnection]:
        """A connection with no mailbox selected. An error inside the block ends the connection."""
        async with self._all:
            connection = self._rested() or await self.gate.connect()
            try:
                yield connection
            except BaseException:  # cancelled, too: an answer may be under way, so nobody may have it next
                connection.kill()
                raise
            if len(self._idle) + self._all.borrowed_tokens > self._all.total_tokens:  # there are fewer places now
                await aio_bounded(1.0, connection.logout)
                connection.kill()
            elif not connection.closed:
                self._idle.append(connection)
                self.gate.host.rest(connection)

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[ImapConnection]:
        """The same for work that takes long."""
        async with self._bulk, self.gate.host.bulk, self.look() as connection:
            yield connection

    async def close(self) -> None:
        """Log out of what is idle; shielded and bounded."""
        while (connection := self._rested()) is not None:
            await aio_bounded(1.0, connection.logout)
            connection.kill()

    def _shrink(self, allowed: int) -> None:
        """The server allows this account fewer connections than we thought: what idles must not take them all, or
        nobody could look and fetch."""
        while (resting := self._rested()) is not None:
            resting.kill()
        allowed = max(2, allowed)
        looking = min(int(self._all.total_tokens), max(1, allowed // 2))
        if allowed - looking >= self._live.total_tokens:
            return  # what rests or looks at this moment was in the way
        self._all.total_tokens = looking
        self._live.total_tokens = allowed - looking
        self._full = f"all {allowed} connections that the server allows the account"
        log.warning("server allows fewer connections", account=self.gate.account, connections=allowed)
        for connection in list(self._idling)[allowed - looking :]:
            connection.kill()

    def _rested(self) -> ImapConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if self.gate.host.wake(connection):
                return connection
        return None
