"""NOTIFY (RFC 5465): one connection of an account hears of all its mailboxes, so that those without a live connection
of their own are pushed, too, and not polled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mailcore.aio import aio
from mailcore.imap.news import Hint
from mailcore.imap.response import ListItem, StatusItem
from syncer.imap.connection import ImapConnection


class Notices:
    """Of one account. `pushed` is told the name of a mailbox in which something happened, `listed` that mailboxes came,
    went or were renamed, or that something may have happened before the server began to tell."""

    def __init__(self, wanted: bool, pushed: Callable[[str], None], listed: Callable[[], None]) -> None:
        self._wanted = wanted
        self._pushed = pushed
        self._listed = listed
        self._held_by: ImapConnection | None = None

    @property
    def active(self) -> bool:
        return self._held_by is not None

    async def hold(self, connection: ImapConnection) -> None:
        """Have this live connection told of all mailboxes, if none is yet."""
        if not self._wanted or self._held_by is not None:
            return
        self._held_by = connection
        told = False
        try:
            told = await aio(connection.notify)
        finally:
            if not told:
                self.release(connection)
        if told:
            self._listed()

    def release(self, connection: ImapConnection) -> None:
        """It has ended."""
        if self._held_by is connection:
            self._held_by = None

    def take(self, hints: Iterable[Hint]) -> None:
        told = set()
        for hint in hints:
            if isinstance(hint, StatusItem):
                told.add(hint.name)
            elif isinstance(hint, ListItem):
                self._listed()
        for name in told:
            self._pushed(name)
