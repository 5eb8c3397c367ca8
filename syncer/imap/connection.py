"""One IMAP connection of ours. Plain asyncio: it runs under asyncio and inside a trio_asyncio loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mailcore.imap.sequence import UidSet
from syncer.imap.model import Endpoint, FetchedMessage, Listed, MailboxStatus, MessageGone, Push, Selected

__all__ = [
    "Endpoint",
    "FetchedMessage",
    "ImapConnection",
    "Listed",
    "MailboxStatus",
    "MessageGone",
    "Push",
    "Selected",
]


class ImapConnection:
    """`open()` gives a logged-in connection; `kill()` ends it at any moment."""

    capabilities: frozenset[str]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @classmethod
    async def open(cls, endpoint: Endpoint) -> ImapConnection:
        raise NotImplementedError

    @property
    def state(self) -> str:
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        raise NotImplementedError

    @property
    def supports_idle(self) -> bool:
        raise NotImplementedError

    async def list_mailboxes(self, pattern: str) -> list[Listed]:
        raise NotImplementedError

    async def select(self, mailbox: str) -> Selected:
        raise NotImplementedError

    async def unselect(self) -> None:
        raise NotImplementedError

    async def status(self, mailbox: str) -> MailboxStatus:
        raise NotImplementedError

    async def uid_search(self, criteria: str = "ALL") -> UidSet:
        raise NotImplementedError

    async def uid_fetch_facts(self, uids: UidSet) -> list[FetchedMessage]:
        raise NotImplementedError

    def uid_fetch_messages(self, uids: str | UidSet, *, limit: int) -> AsyncIterator[FetchedMessage]:
        raise NotImplementedError

    async def uid_fetch_part(self, uid: int, offset: int, count: int) -> bytes:
        raise NotImplementedError

    async def idle(self, *, refresh: float) -> Push:
        raise NotImplementedError

    def interrupt_idle(self) -> None:
        raise NotImplementedError

    async def noop(self) -> None:
        raise NotImplementedError

    async def logout(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        raise NotImplementedError
