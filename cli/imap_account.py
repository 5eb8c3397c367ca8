"""An account of the settings, as the commands look at it over IMAP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mailcore.settings import Account
from syncer.imap.connection import Endpoint, ImapConnection


def endpoint(account: Account) -> Endpoint:
    return Endpoint(
        host=account.host,
        port=account.port,
        user=account.user,
        password=account.password,
        use_ssl=account.use_ssl,
        starttls=account.starttls,
        ca_file=account.ca_file,
    )


@asynccontextmanager
async def connected(account: Account) -> AsyncIterator[ImapConnection]:
    """Logged in for the time of the block. Raises ImapError."""
    connection = await ImapConnection.open(endpoint(account))
    try:
        yield connection
    finally:
        connection.kill()


async def mailboxes(connection: ImapConnection, pattern: str) -> list[str]:
    """The mailboxes that a name or pattern of IMAP_MAILBOX means, as the server has them."""
    return [one.name for one in await connection.list_mailboxes(pattern) if one.selectable]
