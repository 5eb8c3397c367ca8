"""Retention of messages: what was stored longer ago than MESSAGES_MAX_AGE loses its content, in the background.

Files first, then the rows, as when storing, only backwards: a crash in between is healed by the next pass, which begins
when a process starts. The oldest go first, a few at a time, so that new mail waits for one small transaction at most.
Several processes may do this at once.

What is gone is gone for good, and a clock that jumped is no order: a pass that would empty too many at once does
nothing, says so everywhere, and waits for a person's `mozzart prune`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from consumers.metrics import PRUNED, PRUNING_STOPPED
from consumers.retrying import Retrying, Stopping
from mailcore.fault import told
from mailcore.media import Media
from mailcore.store import Store
from mailcore.store.pruning import Outdated, Share
from mailcore.waits import WAITS

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(hours=1)
_WHILE_STOPPED: Final = timedelta(minutes=1)  # a person's order, or a clock set right, is soon noticed
_MESSAGES: Final = 100
# A tenth of a few messages is less than one: so many may go at once wherever others stay.
_FEW: Final = 2


def needs_order(share: Share) -> bool:
    """Whether so many at once may only go when a person says so: all, or more than a tenth. Pure."""
    return share.due > 0 and (share.due == share.kept or share.due > max(_FEW, share.kept // 10))


class Pruning:
    """`max_age` counts from when a message was stored."""

    def __init__(self, store: Store, media: Media, retrying: Retrying, max_age: timedelta) -> None:
        self._store = store
        self._media = media
        self._retrying = retrying
        self._max_age = max_age
        self._stopped: Share | None = None

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
                pause = min(every, _WHILE_STOPPED) if self._stopped else every
                await self._retrying.sleep(pause.total_seconds())
        except Stopping:
            return
        finally:
            WAITS.end(self)

    async def once(self) -> int:
        """Prune all whose time has come, if they are not too many; how many. Raises Stopping; waits for a database or a
        disk that is down."""
        # What the clock says now holds for the whole pass, however long it takes and whatever becomes of the clock.
        before = datetime.now(UTC) - self._max_age
        share = await self._retrying.run(partial(self._store.due, before))
        if needs_order(share):
            self._stop(share, before)
            return 0
        if self._stopped is not None:
            self._stopped = None
            PRUNING_STOPPED.set(0)
            WAITS.end(self)
            log.info("pruning goes on")
        return await self.all_before(before) if share.due else 0

    async def all_before(self, before: datetime, done: Callable[[int], None] = lambda count: None) -> int:
        """Prune what was stored before then, however much; tells `done` how many so far. Raises and waits as `once`."""
        pruned = octets = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            found = await self._retrying.run(partial(self._store.outdated, before, _MESSAGES))
            if not found:
                break
            files = [file for each in found for file in each.files]
            await self._retrying.isolate(files, self._media.remove, _keep_file)
            gone: list[Outdated] = []
            await self._retrying.isolate(found, partial(self._prune, gone), _keep_row)
            if not gone:
                break  # all that is left of these is what cannot be pruned
            PRUNED.inc(len(gone))
            pruned, octets = pruned + len(gone), octets + sum(each.size for each in gone)
            done(pruned)
            # As long a rest as the work took: the others have half of the database at least.
            await self._retrying.sleep(loop.time() - began)
        if pruned:
            log.info("pruned", messages=pruned, bytes=octets, stored_before=before.isoformat(timespec="seconds"))
        return pruned

    def _stop(self, share: Share, before: datetime) -> None:
        words = (
            f"stopped: {share.due:,} of {share.kept:,} messages were stored before {before:%Y-%m-%d %H:%M} UTC, too "
            "many to be emptied without an order; if this machine's clock and MESSAGES_MAX_AGE are right, "
            "run `mozzart prune`"
        )
        WAITS.ask(self, words)
        PRUNING_STOPPED.set(share.due)
        if self._stopped is None:
            log.warning("pruning stopped", due=share.due, kept=share.kept, reason=words)
        self._stopped = share

    async def _prune(self, done: list[Outdated], rows: Sequence[Outdated]) -> None:
        await self._store.prune([each.id for each in rows], datetime.now(UTC))
        done += rows


async def _keep_file(file: str, error: Exception) -> None:
    log.warning("file-not-removed", file=file, error=str(told(error, "removing a file")))


async def _keep_row(row: Outdated, error: Exception) -> None:
    log.warning("row-not-pruned", row_id=row.id, error=str(told(error, "pruning a row")))
