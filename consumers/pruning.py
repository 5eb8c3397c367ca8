"""Retention of messages: what was stored longer ago than MESSAGES_MAX_AGE loses its content, in the background.

Files first, then the rows, as when storing, only backwards: a crash in between is healed by the next pass, which begins
when a process starts. The oldest go first, a few at a time, so that new mail waits for one small transaction at most.
Several processes may do this at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from consumers.metrics import PRUNED
from consumers.retrying import Retrying, Stopping
from mailcore.errors import MozzartError
from mailcore.media import Media
from mailcore.store import Store

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
                except MozzartError as error:
                    log.error("not-pruned", error=str(error), again_in=str(every))
                except Exception:
                    # A bug in here keeps no mail from being stored: the process goes on.
                    log.exception("not-pruned", again_in=str(every))
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
            await self._retrying.isolate(files, self._media.remove, self._keep)
            ids = [each.id for each in found]
            await self._retrying.run(partial(self._store.prune, ids, datetime.now(UTC)))
            PRUNED.inc(len(found))
            pruned, octets = pruned + len(found), octets + sum(each.size for each in found)
            # As long a pause as the work took: the others have half of the database at least.
            await self._retrying.sleep(loop.time() - began)
        if pruned:
            log.info("pruned", messages=pruned, bytes=octets, older_than=str(self._max_age))
        return pruned

    async def _keep(self, file: str, error: Exception) -> None:
        log.warning("file-not-removed", file=file, error=str(error))
