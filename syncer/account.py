"""One account: a nursery, its connections, the list of its mailboxes, and a task group for each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import structlog
import trio

from mailcore.errors import MozzartError
from mailcore.events.control import AccountLive, MailboxLive
from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from mailcore.imap.name import canonical
from mailcore.settings import Account
from mailcore.sync.listing import Snapshot
from mailcore.sync.mailbox_list import is_pattern
from syncer.budget import AccountBudget
from syncer.connections import Connections
from syncer.fetch import fetch
from syncer.flags import flags
from syncer.imap.connection import Endpoint
from syncer.lifecycle import Lifecycle
from syncer.live import live
from syncer.mailbox import MailboxTasks, Shared
from syncer.mailbox_list import MailboxList, Seen
from syncer.notices import Notices
from syncer.sweep import counted, sweep

log = structlog.get_logger(__name__)
TROUBLED: Final = 3  # sweeps in a row that failed
LAST_WORDS: Final = 2.0  # seconds to write the states of the mailboxes when they are left


class AccountTasks:
    """The mailboxes of one account and their tasks. `after` is what must have ended before any of them begins."""

    def __init__(self, account: Account, shared: Shared, after: trio.Event | None = None) -> None:
        self.account = account
        self.shared = shared
        self.budget = AccountBudget(account.name, account.budget, shared.store)
        endpoint = Endpoint.of(account, shared.tokens.of(account), self.budget.count)
        self.connections = Connections(account, shared.servers.of(endpoint), endpoint)
        self.mailboxes: dict[MailboxKey, MailboxTasks] = {}
        self.ended = trio.Event()
        self._after = after
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._stop_reason = ""
        self._since = datetime.now(UTC)
        self._lifecycle = Lifecycle(account, shared, self._since, self._begin, self._end)
        self._list = MailboxList(account, self.connections, shared.interval, self._take, self._counted, self._troubled)
        self._notices = Notices(self._list.needed, self._pushed, lambda: self.list(lambda _: None))
        for name in account.mailboxes:
            if not is_pattern(name):
                self._begin(name, self._since)

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
                self._list.close(self._stop_reason)
                for mailbox in self.mailboxes.values():
                    mailbox.close(self._stop_reason)
            self.ended.set()

    def stop(self, reason: str) -> None:
        """End all tasks; `ended` tells when. Sync runs that wait for them are told the reason."""
        self._stop_reason = reason
        self._scope.cancel()

    def list(self, told: Callable[[str], None]) -> None:
        """Look which mailboxes there are; `told` gets why that failed, "" when it did not."""
        if self._list.needed:
            self._list.ask(told)
        else:
            told("")

    async def list_now(self) -> None:
        ended = trio.Event()
        self.list(lambda _: ended.set())
        await ended.wait()

    @property
    def patterns(self) -> str:
        return ", ".join(name for name in self.account.mailboxes if is_pattern(name))

    def live_state(self) -> AccountLive:
        standing = self.connections.standing
        return AccountLive(
            account=self.account.name,
            source=self.account.source,
            state=standing.state,
            reason=standing.reason,
            since=standing.since,
        )

    def states(self) -> Iterator[MailboxLive]:
        """One for each mailbox, and one for each pattern that could not be listed or fits nothing."""
        older = sum(mailbox.machine.older for mailbox in self.mailboxes.values())
        done = self.budget.of_day.done(older, time.time()) if older else None
        done_at = datetime.fromtimestamp(done, UTC) if done is not None else None
        for mailbox in self.mailboxes.values():
            yield mailbox.live_state(done_at)
        unfit = "no mailbox fits it; it is looked for with each sweep"
        for pattern in sorted(self._list.unfit):
            yield MailboxLive(
                account=self.account.name,
                mailbox=pattern,
                connection="listing",
                since=self._since,
                in_flight=0,
                in_flight_bytes=0,
                error=self.connections.refused or self._list.error or (unfit if self._list.answered else ""),
            )

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                for mailbox in self.mailboxes.values():
                    self._nursery.start_soon(self._live, mailbox)
                self._nursery.start_soon(self._list.run)
                self._nursery.start_soon(self.budget.save)
                await trio.sleep_forever()
        finally:
            self._nursery = None
            with trio.move_on_after(LAST_WORDS, shield=True):
                for mailbox in self.mailboxes.values():
                    await _last_words(mailbox)
                await self._save_budget()
            await self.connections.close()

    async def _save_budget(self) -> None:
        try:
            await self.budget.flush()
        except MozzartError as error:
            log.warning("budget not saved at the end", account=self.account.name, error=str(error))

    async def _live(self, mailbox: MailboxTasks) -> None:
        await mailbox.run(sweep, fetch, live, flags)

    async def _take(self, seen: Seen) -> bool:
        return await self._lifecycle.take(seen)

    def _counted(self, name: str, counters: Snapshot) -> None:
        mailbox = self.mailboxes.get(MailboxKey(self.account.name, name))
        if mailbox is not None:
            counted(mailbox, counters)

    def _troubled(self) -> bool:
        return any(mailbox.machine.attempts >= TROUBLED for mailbox in self.mailboxes.values())

    def _pushed(self, name: str) -> None:
        mailbox = self.mailboxes.get(MailboxKey(self.account.name, canonical(name)))
        if mailbox is not None and mailbox.connection != "idling":  # its own connection tells it more
            mailbox.pushed = mailbox.pushed or datetime.now(UTC)
            mailbox.ask(by=FoundBy.PUSH)

    def _begin(self, name: str, found_at: datetime) -> None:
        name = canonical(name)
        key = MailboxKey(self.account.name, name)
        if key in self.mailboxes:
            self.mailboxes[key].found(found_at)
            return
        mailbox = MailboxTasks(
            self.account, name, self.connections, self.shared, found_at, self._list.counters, self._notices, self.budget
        )
        self.mailboxes[key] = mailbox
        if self._nursery is not None:
            self._nursery.start_soon(self._live, mailbox)

    async def _end(self, name: str, reason: str) -> None:
        mailbox = self.mailboxes.pop(MailboxKey(self.account.name, name), None)
        if mailbox is None:
            return
        await mailbox.stop()
        with trio.move_on_after(LAST_WORDS):
            await _last_words(mailbox)
        mailbox.close(reason)


async def _last_words(mailbox: MailboxTasks) -> None:
    try:
        await mailbox.flush()
    except MozzartError as error:
        mailbox.log.warning("mailbox state not saved at the end", error=str(error))
