"""The mail of accounts that were removed together with it, in the background.

Files first, then the rows, a few messages at a time, so that whoever reads or stores waits for one small transaction at
most. What is left to do stands in the tables alone: a crash in between is healed by the next look, of any process. One
process deletes at a time, so that none removes the file of a message that came again meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from consumers.disposition import AccountRemoved
from consumers.retrying import Retrying, Stopping
from mailcore.errors import MozzartError, Scope, StoreError
from mailcore.fault import told
from mailcore.media import Media
from mailcore.store import Store
from mailcore.store.deletion import Deleted

log = structlog.get_logger(__name__)

EVERY: Final = 3.0  # seconds between two looks
MESSAGES: Final = 100
_LOCK: Final = "deletion"
_LOCKED_WITHIN: Final = 1.0


class Deletion:
    def __init__(self, store: Store, media: Media, retrying: Retrying, messages: int = MESSAGES) -> None:
        """`messages` bounds a transaction."""
        self._store = store
        self._media = media
        self._retrying = retrying
        self._messages = messages

    async def run(self, every: float = EVERY) -> None:
        """Until the process is to stop."""
        try:
            while True:
                try:
                    await self.once()
                except Stopping:
                    return
                except Exception as error:  # noqa: BLE001  # it is told
                    # A bug in here keeps no mail from being stored: the process goes on.
                    log.error("not-deleted", error=str(told(error, "deleting mail")), again_in_s=every)
                await self._retrying.sleep(every)
        except Stopping:
            return

    async def once(self) -> int:
        """Delete all that is to be deleted now; how many messages. 0 also while another process does it, or the
        database is down. Raises Stopping; once it has begun, it waits for a database or a disk."""
        lock = self._store.lock(_LOCK, _LOCKED_WITHIN)
        try:
            if not await self._store.next_to_delete(1):
                return 0
            await lock.__aenter__()
        except StoreError as error:
            log.debug("not deleted now", error=str(error))
            return 0
        try:
            return await self._all()
        finally:
            await lock.__aexit__(None, None, None)

    async def _all(self) -> int:
        count = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            found = await self._retrying.run(partial(self._store.next_to_delete, self._messages))
            if not found:
                break
            files = [file for each in found for file in each.files]
            await self._retrying.isolate(files, self._media.remove, _keep_file)
            gone: list[Deleted] = []
            await self._retrying.isolate(found, partial(self._delete, gone), _keep_row)
            if not gone:
                break  # all that is left of these is what cannot be deleted
            count += len(gone)
            # As long a rest as the work took: the others have half of the database at least.
            await self._retrying.sleep(loop.time() - began)
        if count:
            log.info("mail of removed accounts deleted", messages=count)
        return count

    async def _delete(self, done: list[Deleted], rows: Sequence[Deleted]) -> None:
        await self._store.delete_messages([each.id for each in rows])
        done += rows


async def no_row(store: Store, account: str) -> MozzartError:
    """Why a mailbox of that account has no row."""
    if account in await store.accounts_without_mail():
        return AccountRemoved(f"the account {account!r} was removed with its mail")
    return StoreError("the mailbox has no row yet; the syncer makes it", scope=Scope.MAILBOX)


async def _keep_file(file: str, error: Exception) -> None:
    log.warning("file-not-removed", file=file, error=str(told(error, "removing a file")))


async def _keep_row(row: Deleted, error: Exception) -> None:
    log.warning("row-not-deleted", row_id=row.id, error=str(told(error, "deleting a row")))
