"""Backpressure: the bytes published and not yet stored, over all mailboxes of the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from mailcore.sync.statuses import Octets


class Credit:
    """Bulk work waits for room; new mail only counts (I8: publishing goes on while the database is away)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.octets = Octets()
        self._reserved = 0
        self._waiting = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def room(self, octets: int) -> AsyncIterator[None]:
        """Wait until `octets` more fit under the limit; they count for the time of the block, after it what was
        published counts by itself. One piece larger than the limit passes when nothing else is outstanding."""
        while (taken := self.octets.total + self._reserved) and taken + octets > self.limit:
            await self._waiting.park()
        self._reserved += octets
        try:
            yield
        finally:
            self._reserved -= octets
            self.changed()

    def changed(self) -> None:
        """Something was stored, dead-lettered or given up."""
        self._waiting.unpark_all()
