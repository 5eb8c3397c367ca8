"""That every row is told of by `stored`, also where its event is gone.

Told comes before the ack, so what was not told is delivered again. That holds as long as the stream has the event: of
MAIL_BACKFILL a NATS that dies, or whose disk was full, may lose what a consumer took from it last. So a row is marked
as untold by the transaction that stores it, and the mark is taken away a second after the PubAck.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from consumers.draft import stored_event
from consumers.retrying import Retrying, Stopping
from mailcore.bus import Bus
from mailcore.errors import BusError, MozzartError
from mailcore.fault import told
from mailcore.store import Store

log = structlog.get_logger(__name__)

CLEAR_EVERY: Final = 1.0
LOOK_EVERY: Final = 60  # of these
AFTER_A_FAULT: Final = 60.0  # seconds
LATE: Final = timedelta(seconds=60)  # what is younger may be on its way, by another consumer, too


class Telling:
    def __init__(self, bus: Bus, store: Store, retrying: Retrying) -> None:
        self._bus = bus
        self._store = store
        self._retrying = retrying
        self._told: set[int] = set()

    def told(self, row_id: int) -> None:
        """Its `stored` event has a PubAck."""
        self._told.add(row_id)

    async def run(self) -> None:
        """Until the process is to stop."""
        rounds = LOOK_EVERY  # what an earlier process left is told soon after the start
        try:
            while True:
                pause = CLEAR_EVERY
                try:
                    await self._clear()
                    if rounds >= LOOK_EVERY:
                        rounds = 0
                        await self._look()
                except Stopping:
                    return
                except Exception as error:  # noqa: BLE001  # it is told
                    # A bug in here keeps no mail from being stored: the process goes on.
                    pause = AFTER_A_FAULT
                    log.error("not-told-again", error=str(told(error, "telling again")), again_in_s=pause)
                rounds += 1
                await self._retrying.sleep(pause)
        except Stopping:
            return

    async def close(self) -> None:
        """What was told in the last second; else it is told twice."""
        if self._told:
            try:
                await self._store.mark_told(sorted(self._told))
            except MozzartError as error:
                log.info("told-again-later", messages=len(self._told), why=str(error))

    async def _clear(self) -> None:
        done = sorted(self._told)
        if done:
            await self._retrying.run(partial(self._store.mark_told, done))
            self._told.difference_update(done)

    async def _look(self) -> None:
        while late := await self._retrying.run(partial(self._store.untold, datetime.now(UTC) - LATE)):
            outcomes = await self._bus.publish_all(stored_event(one, one.row) for one in late)
            refused = [outcome for outcome in outcomes if isinstance(outcome, BusError)]
            for one, outcome in zip(late, outcomes, strict=True):
                if not isinstance(outcome, BusError):
                    self.told(one.row.id)
            await self._clear()
            log.warning("told-again", messages=len(late) - len(refused), why="no `stored` was known to be told of them")
            if refused:
                log.warning("not-told", messages=len(refused), error=str(refused[0]))
                return
