"""Backpressure: the bytes published and not yet stored, over all mailboxes of the process."""

from __future__ import annotations

import trio


class Credit:
    """Bulk work waits for room; new mail only counts (I8: publishing goes on while the database is away)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.outstanding = 0
        self._waiting = trio.lowlevel.ParkingLot()

    async def reserve(self, octets: int) -> None:
        """Wait until `octets` more fit under the limit. One piece larger than the limit passes when nothing else is
        outstanding."""
        while self.outstanding and self.outstanding + octets > self.limit:
            await self._waiting.park()
        self.outstanding += octets

    def take(self, octets: int) -> None:
        """Count without waiting."""
        self.outstanding += octets

    def give(self, octets: int) -> None:
        """Stored, dead-lettered or given up."""
        self.outstanding -= octets
        self._waiting.unpark_all()
