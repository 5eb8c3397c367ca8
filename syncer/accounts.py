"""The accounts that this process syncs, and how they come and go while it runs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import structlog
import trio

from mailcore.accounts import change
from mailcore.events.identity import MailboxKey
from mailcore.settings import Account
from syncer.account import AccountTasks
from syncer.mailbox import MailboxTasks, Shared

log = structlog.get_logger(__name__)


class Accounts:
    """Iterates over the accounts of this moment, which are on their way to become those that are `wanted`."""

    def __init__(self, wanted: Iterable[Account]) -> None:
        self.wanted = tuple(wanted)
        self._paused: Container[str] = ()
        self._shared: Shared | None = None
        self._running: dict[str, AccountTasks] = {}
        self._ending: dict[str, AccountTasks] = {}
        self._to_begin: list[AccountTasks] = []
        self._changed = trio.Event()

    def __iter__(self) -> Iterator[AccountTasks]:
        return iter(tuple(self._running.values()))

    def __len__(self) -> int:
        return len(self.wanted)

    def mailboxes(self) -> Iterator[MailboxTasks]:
        for tasks in self:
            yield from tuple(tasks.mailboxes.values())

    def mailbox(self, key: MailboxKey, mailbox_id: int) -> MailboxTasks | None:
        """The one with that row (0: the event did not tell), whatever its name is now."""
        tasks = self._running.get(key.account)
        named = tasks.mailboxes.get(key) if tasks is not None else None
        if tasks is None or not mailbox_id or (named is not None and named.machine.row_id in (0, mailbox_id)):
            return named
        return next((each for each in tasks.mailboxes.values() if each.machine.row_id == mailbox_id), None)

    def become(self, wanted: Iterable[Account], paused: Container[str] = ()) -> None:
        """From now on these. Whoever did not change goes on untouched, with the same connections. Who is in none of
        both was removed."""
        wanted, self._paused = tuple(wanted), paused
        found = change(self.wanted, wanted)
        self.wanted = wanted
        log.info(
            "accounts reloaded",
            **{word: ", ".join(names) for word, names in vars(found).items() if names},
            unchanged=len(wanted) - len(found.added) - len(found.changed),
        )
        if self._shared is not None:
            self._apply(self._shared)

    def left(self, name: str) -> bool:
        """Whether nothing of that account runs any more."""
        return name not in self._running and name not in self._ending

    def forget(self, name: str) -> None:
        """Its mail was deleted."""
        if self._shared is not None:
            self._shared.origins.forget(name)

    def open(self, shared: Shared) -> None:
        """Their mailboxes are known from here on; run() begins their work."""
        self._shared = shared
        self._apply(shared)

    async def run(self) -> None:
        """For ever."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                for tasks in self._to_begin:
                    nursery.start_soon(self._live, tasks)
                self._to_begin.clear()
                await self._changed.wait()

    def _apply(self, shared: Shared) -> None:
        wanted = {account.name: account for account in self.wanted}
        found = change([tasks.account for tasks in self], self.wanted)
        for name in (*found.removed, *found.changed):
            tasks = self._running.pop(name)
            ended = "the account is paused" if name in self._paused else "the account was removed"
            tasks.stop("the account's settings changed" if name in wanted else ended)
            self._ending[name] = tasks
        for name in (*found.added, *found.changed):
            # A mailbox has one writer (I6): its old tasks end before the new ones begin.
            before = self._ending.get(name)
            self._running[name] = AccountTasks(wanted[name], shared, before.ended if before else None)
            self._to_begin.append(self._running[name])
        self._changed.set()

    async def _live(self, tasks: AccountTasks) -> None:
        await tasks.run()
        if self._ending.get(tasks.account.name) is tasks:
            del self._ending[tasks.account.name]
