"""The budget of one account, and the row that lets it survive us (I6: the syncer alone writes it)."""

from __future__ import annotations

import asyncio
import time

import structlog
import trio

from mailcore.aio import aio
from mailcore.errors import MozzartError
from mailcore.store import KeptBudget, Store
from mailcore.sync.budget import Budget

log = structlog.get_logger(__name__)
SAVE_EVERY = 60.0  # seconds
SAVE_PART = 100  # or when one part in so many of the budget is not saved: so much is lost with us at most


class AccountBudget:
    """`count` is called for whatever comes from the server, from the asyncio side of the same thread."""

    def __init__(self, account: str, limit: int, store: Store) -> None:
        self.of_day = Budget(limit)
        self._account = account
        self._store = store
        self._loaded = False
        self._loading = asyncio.Lock()
        self._unsaved = 0
        self._some = trio.Event()
        self._much = trio.Event()

    def count(self, octets: int) -> None:
        budget = self.of_day
        if not budget.limit:
            return
        budget.fetched(octets, time.time())
        self._unsaved += octets
        self._some.set()
        if self._unsaved >= budget.limit // SAVE_PART:
            self._much.set()

    async def load(self) -> None:
        """On the asyncio side. Read what was counted before, if that was not done yet: before that no older mail may be
        fetched. Raises StoreError."""
        async with self._loading:
            if self._loaded or not self.of_day.limit:
                return
            if (kept := await self._store.load_budget(self._account)) is not None:
                self.of_day.restore(dict(kept.hours), kept.messages, kept.octets)
            self._loaded = True

    def older_at(self, octets: int = 1) -> float:
        """When so many bytes of older mail may be asked for, in monotonic seconds."""
        now = time.time()
        return time.monotonic() + self.of_day.due(octets, now) - now

    async def save(self) -> None:
        """The task that writes it, now and then; a database that is away delays it and stops nothing (I8)."""
        while True:
            await self._some.wait()
            with trio.move_on_after(SAVE_EVERY):
                await self._much.wait()
            try:
                await self.flush()
            except MozzartError as error:
                log.debug("budget not saved; it is tried again", account=self._account, error=str(error))
                await trio.sleep(SAVE_EVERY)

    async def flush(self) -> None:
        """Write it now, if there is anything to write and what was there before is known. Raises StoreError."""
        if not self._loaded or not self._unsaved:
            self._much = trio.Event()
            return
        unsaved, self._unsaved = self._unsaved, 0
        self._some, self._much = trio.Event(), trio.Event()
        budget = self.of_day
        kept = KeptBudget(self._account, tuple(sorted(budget.hours.items())), budget.messages, budget.octets)
        try:
            await aio(self._store.save_budget, kept)
        except BaseException:  # cancelled, too
            self._unsaved += unsaved
            self._some.set()
            raise
