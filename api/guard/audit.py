"""Who asks now, and that what they did is kept.

A handler says `await audit.note("synced", "INBOX")`; whoever checked the credentials has said who it is (`acting`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from mailcore.audit import Action, Actor, Entry, Flood, entry
from mailcore.errors import MozzartError
from mailcore.store import Store
from mailcore.store.patience import within

log = structlog.get_logger(__name__)

_WITHIN: Final = 2.0
_NOBODY: Final = Actor("stranger", "")
_actor: Final[ContextVar[Actor]] = ContextVar("actor", default=_NOBODY)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """In this block it is this one who does what is done."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


class Audit:
    """The audit table, as the api writes it. What was done stays done where the database does not answer: then the log
    alone says so."""

    def __init__(self, store: Store, max_age: timedelta) -> None:
        self._store = store
        self._max_age = max_age
        self._failed = Flood()
        self._ending: asyncio.Task[None] | None = None

    async def note(self, action: Action, about: str = "", *, actor: Actor | None = None, count: int = 1) -> None:
        """Keep that it was done, `about` what; by whoever asks, unless told otherwise."""
        await self._keep(entry(datetime.now(UTC), action, actor or _actor.get(), about, count))

    async def note_failed_sign_in(self, user: str, address: str) -> None:
        """One more; `user` is what a stranger wrote. Many of them share an entry."""
        failed = entry(datetime.now(UTC), "sign-in-failed", Actor("stranger", user, address))
        for one in self._failed.add(failed):
            await self._keep(one)
        if self._failed.waits and self._ending is None:
            self._ending = asyncio.create_task(self._end_minute(60 - failed.at.second))

    async def close(self) -> None:
        """Keep what is left."""
        if self._ending is not None:
            self._ending.cancel()
        for one in self._failed.end():
            await self._keep(one)

    async def _end_minute(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._ending = None
        for one in self._failed.end():
            await self._keep(one)

    async def _keep(self, one: Entry) -> None:
        try:
            with within(_WITHIN):
                await self._store.add_audit_entry(one, one.at - self._max_age)
        except MozzartError as error:
            facts = {"by": one.by, "who": one.who, "address": one.address, "object": one.object}
            log.warning("not in the audit table", action=one.action, **facts, error=str(error))
