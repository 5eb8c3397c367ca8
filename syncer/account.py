"""One account: a nursery, its gate and pool of connections, and a task group for each of its mailboxes."""

from __future__ import annotations

import structlog
import trio

from mailcore.aio import aio
from mailcore.events.control import MailboxResult
from mailcore.events.identity import MailboxKey
from mailcore.settings import Account
from syncer.attempt import keep_trying
from syncer.bulk import drain
from syncer.gate import Gate, Pool
from syncer.imap.connection import Endpoint
from syncer.live import live
from syncer.mailbox import Mailbox, Shared
from syncer.sweep import sweep

log = structlog.get_logger(__name__)
RELIST = 600.0  # how soon a mailbox made later that fits a pattern is noticed


class AccountTasks:
    """The mailboxes of one account and their tasks."""

    def __init__(self, account: Account, shared: Shared) -> None:
        self.account = account
        self.shared = shared
        self.pool = Pool(
            Gate(
                account.name,
                Endpoint(
                    host=account.host,
                    port=account.port,
                    user=account.user,
                    password=account.password,
                    use_ssl=account.use_ssl,
                    starttls=account.starttls,
                    ca_file=account.ca_file,
                ),
            )
        )
        self.mailboxes: dict[MailboxKey, Mailbox] = {}
        self.error = ""

    async def run(self) -> None:
        """For ever; whatever goes wrong in one mailbox stays there."""
        try:
            async with trio.open_nursery() as nursery:
                for name in self.account.mailboxes:
                    if not _is_pattern(name):
                        self._open(name, nursery)
                if any(_is_pattern(name) for name in self.account.mailboxes):
                    nursery.start_soon(self._follow_patterns, nursery)
        finally:
            await self.pool.close()

    def hopeless(self) -> tuple[MailboxResult, ...]:
        """What to tell of an account none of whose mailboxes is known yet."""
        if self.mailboxes:
            return ()
        error = self.pool.gate.refused or self.error or "its mailboxes have not been listed yet"
        pattern = ",".join(self.account.mailboxes)
        return (MailboxResult(account=self.account.name, mailbox=pattern, status="failed", error=error),)

    async def _follow_patterns(self, nursery: trio.Nursery) -> None:
        async def once() -> None:
            for pattern in self.account.mailboxes:
                if _is_pattern(pattern):
                    async with self.pool.look() as connection:
                        listed = await aio(connection.list_mailboxes, pattern)
                    for found in listed:
                        if found.selectable:
                            self._open(found.name, nursery)
            self.error = ""

        def failed(text: str, seconds: float) -> None:
            self.error = text
            log.warning("mailboxes not listed", account=self.account.name, error=text, next_try_s=round(seconds, 1))

        while True:
            await keep_trying(f"list {self.account.name}", once, failed)
            await trio.sleep(RELIST)

    def _open(self, name: str, nursery: trio.Nursery) -> None:
        if name.upper() == "INBOX":
            name = "INBOX"  # RFC 9051 §5.1: INBOX alone is case-insensitive
        key = MailboxKey(self.account.name, name)
        if key not in self.mailboxes:
            mailbox = self.mailboxes[key] = Mailbox(self.account, name, self.pool, self.shared)
            nursery.start_soon(_run_mailbox, mailbox)


async def _run_mailbox(mailbox: Mailbox) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, mailbox, nursery)
        nursery.start_soon(drain, mailbox)
        nursery.start_soon(live, mailbox)
        nursery.start_soon(mailbox.save)


def _is_pattern(name: str) -> bool:
    return "*" in name or "%" in name
