"""Retention of messages: what was stored longer ago than MESSAGES_MAX_AGE loses its content, in the background.

Files first, then the rows, as when storing, only backwards: a crash in between is healed by the next pass, which begins
when a process starts. The oldest go first, a few at a time, so that new mail waits for one small transaction at most.
Several processes may do this at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from consumers.metrics import PRUNED
from consumers.retrying import Retrying, Stopping
from mailcore.fault import told
from mailcore.media import Media
from mailcore.store import Store
from mailcore.store.pruning import Outdated

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(hours=1)
_MESSAGES: Final = 100


class Pruning:
    """`max_age` counts from when a message was stored."""

    def __init__(self, store: Store, media: Media, retrying: Retrying, max_age: timedelta) -> None:
        self._store = store
        self._media = media
        self._retrying = retrying
        self._max_age = max_age

    async def run(self, every: timedelta = EVERY) -> None:
        """A pass now, and another one each `every`, until the process is to stop."""
        try:
            while True:
                try:
                    await self.once()
                except Stopping:
                    return
                except Exception as error:  # noqa: BLE001  # it is told
                    # A bug in here keeps no mail from being stored: the process goes on.
                    log.error("not-pruned", error=str(told(error, "pruning")), again_in=str(every))
                await self._retrying.sleep(every.total_seconds())
        except Stopping:
            return

    async def once(self) -> int:
        """Prune all whose time has come; how many. Raises Stopping; waits for a database or a disk that is down."""
        pruned = octets = 0
        loop = asyncio.get_running_loop()
        while True:
            before = datetime.now(UTC) - self._max_age
            began = loop.time()
            found = await self._retrying.run(partial(self._store.outdated, before, _MESSAGES))
            if not found:
                break
            files = [file for each in found for file in each.files]
            await self._retrying.isolate(files, self._media.remove, _keep_file)
            done: list[Outdated] = []
            await self._retrying.isolate(found, partial(self._prune, done), _keep_row)
            if not done:
                break  # all that is left of these is what cannot be pruned
            PRUNED.inc(len(done))
            pruned, octets = pruned + len(done), octets + sum(each.size for each in done)
            # As long a rest as the work took: the others have half of the database at least.
            await self._retrying.sleep(loop.time() - began)
        if pruned:
            log.info("pruned", messages=pruned, bytes=octets, older_than=str(self._max_age))
        return pruned

    async def _prune(self, done: list[Outdated], rows: Sequence[Outdated]) -> None:
        await self._store.prune([each.id for each in rows], datetime.now(UTC))
        done += rows


async def _keep_file(file: str, error: Exception) -> None:
    log.warning("file-not-removed", file=file, error=str(told(error, "removing a file")))


async def _keep_row(row: Outdated, error: Exception) -> None:
    log.warning("row-not-pruned", row_id=row.id, error=str(told(error, "pruning a row")))
