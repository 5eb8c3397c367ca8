"""What an earlier version stored is found by parts of words and names of files, too: in the background, once.

The newest go first, a few at a time, so that new mail waits for one small transaction at most. Several processes may do
this at once, and an interruption costs nothing: a row tells whether it is done.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from consumers.retrying import Retrying, Stopping
from mailcore.fault import told
from mailcore.store import Store

log = structlog.get_logger(__name__)

_MESSAGES: Final = 50
_TOLD_EVERY: Final = 30.0


async def index(store: Store, retrying: Retrying) -> None:
    """All that is not indexed whole when it begins; ends early when the process is to stop."""
    try:
        await _index(store, retrying)
    except Stopping:
        return
    except Exception as error:  # noqa: BLE001  # it is told
        # A bug in here keeps no mail from being stored: the process goes on.
        log.error("not-indexed", error=str(told(error, "indexing what is stored already")), again_in="the next start")


async def _index(store: Store, retrying: Retrying) -> None:
    left = await retrying.run(store.count_unsearched)
    if not left:
        return
    log.info("indexing", messages=left, why="an earlier version stored them: parts of words do not find them yet")
    loop = asyncio.get_running_loop()
    done, last_told = 0, loop.time()
    refused: list[int] = []

    async def refuse(row_id: int, error: Exception) -> None:
        refused.append(row_id)
        log.warning("row-not-indexed", row_id=row_id, error=str(told(error, "indexing a row")))

    before: int | None = None
    while rows := await retrying.run(partial(store.unsearched, before, _MESSAGES)):
        began = loop.time()
        await retrying.isolate(rows, store.make_searchable, refuse)
        done, before = done + len(rows), min(rows)
        if loop.time() - last_told >= _TOLD_EVERY:
            last_told = loop.time()
            log.info("indexing", messages=done, left=max(left - done, 0))
        # As long a rest as the work took: the others have half of the database at least.
        await retrying.sleep(loop.time() - began)
    log.info("indexed", messages=done - len(refused))
