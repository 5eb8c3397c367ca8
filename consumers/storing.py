"""The way of a batch: decode → locate and parse → files → commit → `stored` → ack.

1. Files first, then the commit, then the event, then the ack: a crash anywhere is healed by redelivery (I2).
2. Each stage has a lock, so that batches follow each other: while one is fsynced, the next is parsed.
3. What fails alone is settled alone; a batch that the database or the disk refuses is halved until the culprit is
found (I5). 4. Claim checks and suspects go one at a time, beside the others: neither their size nor their crash is
shared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from structlog.typing import FilteringBoundLogger

from consumers.deletion import no_row
from consumers.disposition import is_hopeless, is_suspect
from consumers.draft import Draft, draft, message_row
from consumers.job import Job, decode
from consumers.linking import Linking
from consumers.metrics import PUSH_TO_STORED, STORED, STORED_BYTES
from consumers.rebinding import Rebinding, Request
from consumers.retrying import Retrying, Stopping
from consumers.settlement import Settlement, describe
from consumers.telling import Telling
from mailcore.bus import Bus, Delivery
from mailcore.errors import EventError, MozzartError
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.events.thin import Rebind
from mailcore.fault import told
from mailcore.media import Media
from mailcore.store import Store, StoredMessage

log = structlog.get_logger(__name__)


class Lane:
    """One batch at a time in each stage, in the order of their coming."""

    def __init__(self, name: str) -> None:
        self.reading = asyncio.Lock()
        self.writing = asyncio.Lock()
        self.committing = asyncio.Lock()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name)


class Storing:
    """`take` once for each batch, concurrently if wished, with a task group that outlives the calls; `close` after it
    ended."""

    def __init__(
        self, bus: Bus, store: Store, media: Media, retrying: Retrying, linking: Linking, telling: Telling
    ) -> None:
        self._bus = bus
        self._store = store
        self._media = media
        self._retrying = retrying
        self._linking = linking
        self._settlement = Settlement(bus, media, telling)
        self._rebinding = Rebinding(store, retrying, self._settlement)
        self._lane = Lane("parse")
        self._slow_lane = Lane("parse-alone")
        self._alone = asyncio.Lock()

    def close(self) -> None:
        for lane in (self._lane, self._slow_lane):
            lane.thread.shutdown(wait=False, cancel_futures=True)

    async def take(self, deliveries: Sequence[Delivery], group: asyncio.TaskGroup) -> None:
        """Settle these deliveries; those that must go alone are settled later, by tasks of `group`. What is unsettled
        when the process is to stop is given back by whoever pulled it."""
        jobs: list[Job] = []
        requests: list[Request] = []
        for delivery in deliveries:
            try:
                event = decode(delivery)
            except Exception as error:  # noqa: BLE001  # a bug of ours, too, is settled and told, and stops no other
                await self._settlement.failed(delivery, None, error)
                continue
            if isinstance(event, Rebind):
                requests.append((delivery, event))
            elif event.object_name or is_suspect(delivery.deliveries):
                group.create_task(self._take_alone(Job(delivery, event)))
            else:
                jobs.append(Job(delivery, event))
        try:
            await self._store_all(jobs, self._lane)
            if requests:
                await self._rebinding.take(requests)
        except Stopping:
            return
        except Exception as error:  # noqa: BLE001  # it is told
            error = told(error, "storing a batch")
            log.error("batch-failed", error=describe(error))
            await self._give_back(deliveries, error)

    async def _take_alone(self, job: Job) -> None:
        async with self._alone:
            try:
                if is_hopeless(job.delivery.deliveries):
                    raise EventError(f"delivered {job.delivery.deliveries} times, and nobody came to an end with it")
                if job.event.object_name:
                    name, path = job.event.object_name, self._media.spool()
                    job.spooled = path
                    await self._bus.get_body(name, path)
                await self._store_all([job], self._slow_lane)
            except Stopping:
                return
            except Exception as error:  # noqa: BLE001  # it is told
                await self._settlement.failed(job.delivery, job.event, error)
            finally:
                job.discard()

    async def _store_all(self, jobs: Sequence[Job], lane: Lane) -> None:
        if not jobs:
            return
        async with lane.reading:
            drafting = asyncio.get_running_loop().run_in_executor(lane.thread, _draft_all, jobs)
            try:
                await self._retrying.isolate(jobs, self._locate, self._fail)
            finally:
                await drafting
        for job in _unstored(jobs):
            if job.error is not None:
                await self._fail(job, job.error)
        async with lane.writing:
            await self._retrying.isolate(_unstored(jobs), self._write_files, self._fail)
        async with lane.committing:
            await self._retrying.isolate(_unstored(jobs), self._commit, self._fail)
        await self._tell([job for job in jobs if job.stored is not None])

    async def _locate(self, jobs: Sequence[Job]) -> None:
        """A message that has a row is not stored again: its files and its row stay as they are (I4)."""
        locations = await self._store.locate({job.event.identity: job.event.mailbox_id for job in jobs})
        present: list[int] = []
        for job in jobs:
            job.location = locations.get(job.event.identity)
            if job.location is None:
                job.error = await no_row(self._store, job.event.identity.account)
                continue
            row = job.stored = job.location.stored
            # The syncer published it after it was marked: the server has it after all.
            if row is not None and row.expunged_at is not None and row.expunged_at < job.event.published_at:
                present.append(row.id)
        if present:
            await self._store.mark_present(present)

    async def _write_files(self, jobs: Sequence[Job]) -> None:
        firsts = [job for job in jobs if job.event.origin is None]
        await self._media.write([file for job in firsts for file in _drafted(job).files])
        for job in firsts:
            self._linking.wrote(job.event.identity, _drafted(job))
        copies = [(job.event.origin, _drafted(job)) for job in jobs if job.event.origin and _drafted(job).files]
        if copies:
            sources = await self._linking.sources(copies)
            await self._media.write([file for _, drafted in copies for file in drafted.files], sources)
        for job in jobs:
            job.drafted = replace(_drafted(job), files=())

    async def _commit(self, jobs: Sequence[Job]) -> None:
        now = datetime.now(UTC)
        rows = []
        for job in jobs:
            assert job.location is not None
            seq = job.delivery.seq
            rows.append(message_row(job.event, _drafted(job), job.location.slot, now, seq))
        ids = await self._store.insert_messages(rows)
        committed = datetime.now(UTC)
        for job, row, row_id in zip(jobs, rows, ids, strict=True):
            job.stored = row.stored(row_id, committed)

    async def _tell(self, jobs: Sequence[Job]) -> None:
        try:
            await self._settlement.stored([(each.delivery, each.event, _row(each)) for each in jobs])
        finally:
            # After the events, which others wait for. A redelivery of what has a row is no news.
            write = log.bind()
            for job in jobs:
                if job.location is not None and job.location.stored is None:
                    _report(write, job.event, _row(job))

    async def _fail(self, job: Job, error: Exception) -> None:
        await self._settlement.failed(job.delivery, job.event, error)

    async def _give_back(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        # A bug of ours that no single message can be blamed for: none of them dies of it.
        passing = MozzartError(describe(error))
        for delivery in deliveries:
            if not delivery.settled:
                await self._settlement.failed(delivery, None, passing)


def _report(bound: FilteringBoundLogger, event: MessageEvent, row: StoredMessage) -> None:
    seconds = (row.stored_at - event.pushed_at).total_seconds()
    STORED.labels(event.kind.value).inc()
    STORED_BYTES.labels(event.kind.value).inc(event.size)
    if event.kind is Kind.NEW:
        PUSH_TO_STORED.observe(seconds)
    # Of a backfill the syncer tells the progress (syncer/progress.py): a line for each costs time, and nobody reads it.
    pushed = event.kind is Kind.NEW or event.found_by is FoundBy.PUSH
    facts = {"push_to_stored_ms": round(seconds * 1000, 1)} if event.found_by is FoundBy.PUSH else {}
    if not (pushed or bound.is_enabled_for(logging.DEBUG)):
        return
    write = bound.info if pushed else bound.debug
    write("stored", identity=str(event.identity), size=event.size, attachments=len(row.attachments), **facts)


def _draft_all(jobs: Sequence[Job]) -> None:
    for job in jobs:
        try:
            job.drafted = draft(job.event.identity, job.event.received_at, job.raw())
        except Exception as error:  # noqa: BLE001  # I5: whatever a message does to the parser, it stops no other
            job.error = error


def _row(job: Job) -> StoredMessage:
    assert job.stored is not None
    return job.stored


def _drafted(job: Job) -> Draft:
    assert job.drafted is not None
    return job.drafted


def _unstored(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.stored is None and not job.delivery.settled]
