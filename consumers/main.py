"""The consumer process: stores what the streams of messages bring until it is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
import uvloop

from consumers.deletion import Deletion
from consumers.indexing import index
from consumers.linking import Linking
from consumers.marking import Marking
from consumers.metrics import watch_space
from consumers.pruning import Pruning
from consumers.pulling import Pulling
from consumers.retrying import Retrying, Stopping
from consumers.storing import Storing
from consumers.telling import Telling
from mailcore import collector, metrics
from mailcore.bus import Bus
from mailcore.events.thin import Expunged, Flags
from mailcore.lifecycle import run_until_stopped
from mailcore.media import Media
from mailcore.settings import Settings
from mailcore.store import Store

log = structlog.get_logger(__name__)

BATCH_MESSAGES: Final = 200
BATCH_BYTES: Final = 4 << 20
# One is parsed, one is written, one is committed, two are told: a PubAck is an fsync at the other end.
BATCHES: Final = 5


async def consume(
    bus: Bus,
    store: Store,
    media: Media,
    *,
    stop: asyncio.Event,
    messages: int = BATCH_MESSAGES,
    octets: int = BATCH_BYTES,
    batches: int = BATCHES,
    max_age: timedelta | None = None,
) -> None:
    """Store messages, mark expunged ones, set flags, index what an earlier version stored, delete what was removed with
    its account, and prune what was stored longer than `max_age` ago, until `stop` is set; then end what is under way,
    for three seconds at most, and give back the rest. Several processes may do this at once. `messages` and `octets`
    bound a batch."""
    retrying = Retrying(stop)
    linking = Linking(store)
    telling = Telling(bus, store, retrying)
    storing = Storing(bus, store, media, retrying, linking, telling)
    backfilling = Storing(
        bus, store, media, retrying, linking, telling
    )  # lanes of its own: new mail does not queue behind old
    expunging = Marking(Expunged, partial(_mark_expunged, store), retrying)
    flagging = Marking(Flags, partial(_set_flags, store), retrying)
    takes = {"store": storing.take, "backfill": backfilling.take, "expunge": expunging.take, "flags": flagging.take}
    try:
        async with asyncio.TaskGroup() as group:
            for durable, take in takes.items():
                for pull in (await bus.pull(durable), await bus.pull_former(durable)):
                    if pull is not None:
                        pulling = Pulling(pull, stop, messages=messages, octets=octets, batches=batches)
                        group.create_task(pulling.run(take))
            group.create_task(telling.run())
            group.create_task(index(store, retrying))
            group.create_task(Deletion(store, media, retrying).run())
            if max_age is not None:
                group.create_task(Pruning(store, media, retrying, max_age).run())
    finally:
        storing.close()
        backfilling.close()
        await telling.close()


async def _mark_expunged(store: Store, events: Sequence[Expunged]) -> None:
    await store.mark_expunged([(event.identity, event.at, event.mailbox_id) for event in events])


async def _set_flags(store: Store, events: Sequence[Flags]) -> None:
    await store.set_flags([(event.identity, event.flags, event.at, event.mailbox_id) for event in events])


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Open everything, consume, close everything. Waits for a database and a disk that are away; raises
    BusError when NATS is down."""
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.database_url)
        stack.push_async_callback(store.close)
        bus = await Bus.connect(settings.nats_url, name="consumer")
        stack.push_async_callback(bus.close)
        await bus.ensure(**settings.retention)
        watch_space({"media": settings.media_root, "data": settings.data_dir})
        await metrics.answer(bus, "consumer")
        retrying = Retrying(stop)
        try:
            media = await retrying.run(partial(asyncio.to_thread, Media.open, settings.media_root))
            stack.callback(media.close)
            await retrying.run(store.upgrade)
        except Stopping:
            return
        collector.freeze()
        log.info("consuming", media_root=str(settings.media_root), database=str(store), nats=bus.server)
        days = settings.messages_max_age
        await consume(bus, store, media, stop=stop, max_age=None if days is None else timedelta(days=days))
        log.info("stopped")


def run(settings: Settings) -> None:
    """The whole life of the process; SIGINT and SIGTERM end it. The log is configured by the caller."""

    # Backfill is bound by this loop: measured side by side, uvloop needed two thirds of the time.
    run_until_stopped(partial(serve, settings), uvloop.new_event_loop)
