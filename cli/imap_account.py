"""An account of the settings, as the commands look at it over IMAP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailcore.oauth.tokens import Tokens
from mailcore.settings import Account
from syncer.imap.connection import Endpoint, ImapConnection


@asynccontextmanager
async def connected(account: Account, tokens: Tokens) -> AsyncIterator[ImapConnection]:
    """Logged in for the time of the block. Raises ImapError."""
    connection = await ImapConnection.open(Endpoint.of(account, tokens.of(account)))
    try:
        yield connection
    finally:
        connection.kill()


async def mailboxes(connection: ImapConnection, pattern: str) -> list[str]:
    """The mailboxes that a name or pattern of IMAP_MAILBOX means, as the server has them."""
    return [one.name for one in (await connection.list_mailboxes(pattern)).mailboxes if one.selectable]
