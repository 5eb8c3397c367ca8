"""One account: a nursery, its connections, and a task group for each of its mailboxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import structlog
import trio

from mailcore.aio import aio
from mailcore.errors import MozzartError
from mailcore.events.control import MailboxLive, MailboxResult
from mailcore.events.identity import MailboxKey
from mailcore.settings import Account
from syncer.attempt import keep_trying
from syncer.connections import Connections
from syncer.fetch import fetch
from syncer.flags import flags
from syncer.imap.connection import Endpoint
from syncer.live import live
from syncer.mailbox import MailboxTasks, Shared
from syncer.sweep import sweep

log = structlog.get_logger(__name__)
RELIST = 600.0  # how soon a mailbox made later that fits a pattern is noticed
LAST_WORDS: Final = 2.0  # seconds to write the states of the mailboxes when they are left


class AccountTasks:
    """The mailboxes of one account and their tasks. `after` is what must have ended before any of them begins."""

    def __init__(self, account: Account, shared: Shared, after: trio.Event | None = None) -> None:
        self.account = account
        self.shared = shared
        self.connections = Connections(account, shared.servers.of(Endpoint.of(account)))
        self.mailboxes: dict[MailboxKey, MailboxTasks] = {}
        self.ended = trio.Event()
        self._after = after
        self._scope = trio.CancelScope()
        self._stop_reason = ""
        self._unlisted = {name: "" for name in account.mailboxes if _pattern(name)}  # and why
        self._since = datetime.now(UTC)
        for name in account.mailboxes:
            if not _pattern(name):
                self._add(name)

    async def run(self) -> None:
        """Until stop(), or for ever; whatever goes wrong in one mailbox stays there."""
        try:
            if self._after is not None:
                with trio.CancelScope(shield=True):  # its end is bounded
                    await self._after.wait()
            with self._scope:
                await self._run()
        finally:
            if self._stop_reason:
                for mailbox in self.mailboxes.values():
                    mailbox.close(self._stop_reason)
            self.ended.set()

    def stop(self, reason: str) -> None:
        """End all tasks; `ended` tells when. Sync runs that wait for them are told the reason."""
        self._stop_reason = reason
        self._scope.cancel()

    def states(self) -> Iterator[MailboxLive]:
        """One for each mailbox, and one for each pattern that could not be listed or fits nothing."""
        for mailbox in self.mailboxes.values():
            yield mailbox.live_state()
        for pattern, why in self._unlisted.items():
            yield MailboxLive(
                account=self.account.name,
                mailbox=pattern,
                connection="listing",
                since=self._since,
                in_flight=0,
                in_flight_bytes=0,
                error=self.connections.refused or why,
            )

    def hopeless(self) -> tuple[MailboxResult, ...]:
        """What to tell of an account none of whose mailboxes is known yet."""
        if self.mailboxes:
            return ()
        return tuple(
            MailboxResult(
                account=self.account.name,
                mailbox=pattern,
                status="failed",
                error=self.connections.refused or why or "its mailboxes have not been listed yet",
            )
            for pattern, why in self._unlisted.items()
        )

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for mailbox in self.mailboxes.values():
                    nursery.start_soon(mailbox.run, sweep, fetch, live, flags)
                if self._unlisted:
                    nursery.start_soon(self._follow_patterns, nursery)
                await trio.sleep_forever()
        finally:
            with trio.move_on_after(LAST_WORDS, shield=True):
                for mailbox in self.mailboxes.values():
                    await _last_words(mailbox)
            await self.connections.close()

    async def _follow_patterns(self, nursery: trio.Nursery) -> None:
        patterns = tuple(self._unlisted)

        async def once() -> None:
            for pattern in patterns:
                async with self.connections.look() as connection:
                    listed = await aio(connection.list_mailboxes, pattern)
                names = [found.name for found in listed if found.selectable]
                for name in names:
                    if (mailbox := self._add(name)) is not None:
                        nursery.start_soon(mailbox.run, sweep, fetch, live, flags)
                if names:
                    self._unlisted.pop(pattern, None)
                else:
                    self._cannot(pattern, f"no mailbox fits it; the next look is in {RELIST / 60:.0f} minutes")

        def failed(text: str, seconds: float) -> None:
            for pattern in patterns:
                self._cannot(pattern, text)
            log.warning("mailboxes not listed", account=self.account.name, error=text, next_try_s=round(seconds, 1))

        while True:
            await keep_trying(f"list {self.account.name}", once, failed, self.connections.wait)
            await trio.sleep(RELIST)

    def _cannot(self, pattern: str, why: str) -> None:
        if self._unlisted.get(pattern) != why:
            self._since = datetime.now(UTC)
        self._unlisted[pattern] = why

    def _add(self, name: str) -> MailboxTasks | None:
        """The mailbox, if it is a new one."""
        if name.upper() == "INBOX":
            name = "INBOX"  # RFC 9051 §5.1: INBOX alone is case-insensitive
        key = MailboxKey(self.account.name, name)
        if key in self.mailboxes:
            return None
        mailbox = self.mailboxes[key] = MailboxTasks(self.account, name, self.connections, self.shared)
        return mailbox


async def _last_words(mailbox: MailboxTasks) -> None:
    try:
        await mailbox.flush()
    except MozzartError as error:
        mailbox.log.warning("mailbox state not saved at the end", error=str(error))


def _pattern(name: str) -> bool:
    return "*" in name or "%" in name
