"""The connection to an account for as long as it is compared: opened when it is needed, and made anew when it broke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailcore.oauth.source import TokenSource
from mailcore.settings import Account
from syncer.imap.connection import Endpoint, ImapConnection


class Session:
    """One connection at a time: no more load than a mail program makes."""

    def __init__(self, account: Account, tokens: TokenSource | None) -> None:
        self.account = account
        self._endpoint = Endpoint.of(account, tokens)
        self._connection: ImapConnection | None = None

    async def connection(self) -> ImapConnection:
        """Logged in, and alive as far as we know. Raises ImapError."""
        if self._connection is None or self._connection.closed:
            self.kill()
            self._connection = await ImapConnection.open(self._endpoint)
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
async def session(account: Account, tokens: TokenSource | None = None) -> AsyncIterator[Session]:
    """For the time of the block."""
    made = Session(account, tokens)
    try:
        yield made
    finally:
        made.kill()
