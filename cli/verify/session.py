"""The connection to an account for as long as it is compared: opened when it is needed, and made anew when it broke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailcore.settings import Account
from syncer.imap.connection import Endpoint, ImapConnection


class Session:
    """One connection at a time: no more load than a mail program makes."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._connection: ImapConnection | None = None

    async def connection(self) -> ImapConnection:
        """Logged in, and alive as far as we know. Raises ImapError."""
        if self._connection is None or self._connection.closed:
            self.kill()
            self._connection = await ImapConnection.open(Endpoint.of(self.account))
        return self._connection

    async def another(self) -> ImapConnection:
        """A new one: perhaps another server of a cluster answers. Raises ImapError."""
        self.kill()
        return await self.connection()

    def kill(self) -> None:
        if self._connection is not None:
            self._connection.kill()
            self._connection = None


@asynccontextmanager
async def session(account: Account) -> AsyncIterator[Session]:
    """For the time of the block."""
    made = Session(account)
    try:
        yield made
    finally:
        made.kill()
