"""The end of a delivery: told and acknowledged, or what consumers/disposition.py says. Never raises: what fails here
comes again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from consumers.disposition import Action, dispose
from consumers.draft import stored_event
from consumers.metrics import NOT_STORED
from consumers.telling import Telling
from mailcore.bus import BodyMissing, Bus, Delivery, PubAck
from mailcore.errors import BusError, EventError
from mailcore.events.message import MessageEvent
from mailcore.events.thin import Dead, Rebind, Stored
from mailcore.fault import told
from mailcore.media import Media
from mailcore.store import StoredMessage

log = structlog.get_logger(__name__)

Committed = tuple[Delivery, MessageEvent | Rebind, StoredMessage]


class Settlement:
    def __init__(self, bus: Bus, media: Media, telling: Telling) -> None:
        self._bus = bus
        self._media = media
        self._telling = telling

    async def stored(self, committed: Sequence[Committed]) -> None:
        """First the event, then the ack: a crash in between tells twice, never not at all (I4)."""
        told = [(delivery, stored_event(event, row)) for delivery, event, row in committed]
        if await self._all_told([event for _, event in told]):
            for delivery, event in told:
                self._end(delivery, event)
            return
        async with self._bus.pipeline(self._told) as pipeline:
            for each in told:
                await pipeline.send(each, each[1])

    async def _all_told(self, events: Sequence[Stored]) -> bool:
        try:
            return await self._bus.publish_batch(events)
        except BusError:
            return False  # the one that NATS cannot take is found when each goes by itself

    def _end(self, delivery: Delivery, event: Stored) -> None:
        delivery.ack()
        self._telling.told(event.row_id)

    def _told(self, told: tuple[Delivery, Stored], outcome: PubAck | BusError) -> None:
        delivery, event = told
        if isinstance(outcome, PubAck):
            self._end(delivery, event)
        else:
            log.warning("not-told", identity=delivery.headers.get("ce-id", delivery.subject)[:400], error=str(outcome))
            delivery.nak(dispose(outcome, delivery.deliveries).delay)

    async def failed(self, delivery: Delivery, event: MessageEvent | Rebind | None, error: Exception) -> None:
        """Give the delivery back, bury it or drop it."""
        what = str(event.identity) if event is not None else delivery.headers.get("ce-id", delivery.subject)[:400]
        error = told(error, f"storing {what}")
        disposition = dispose(error, delivery.deliveries)
        NOT_STORED.labels(disposition.action.value).inc()
        about = log.bind(identity=what, deliveries=delivery.deliveries, error=describe(error))
        if disposition.action is Action.NAK:
            about.warning("not-stored", again_in_s=disposition.delay)
            delivery.nak(disposition.delay)
        elif disposition.action is Action.DROP:
            about.warning("dropped")
            delivery.term()
        else:
            about.error("dead")
            await self._bury(delivery, event, error)

    async def _bury(self, delivery: Delivery, event: MessageEvent | Rebind | None, error: Exception) -> None:
        try:
            # First the dead letter, then the word of it: whoever hears `dead` finds the bytes.
            await self._keep(delivery, event, describe(error))
            if event is not None:
                await self._bus.publish(_dead_event(event, error, delivery.deliveries))
        except (BusError, OSError) as failure:
            log.warning("not-buried", error=describe(failure))
            delivery.nak(dispose(failure, delivery.deliveries).delay)
        else:
            delivery.term()

    async def _keep(self, delivery: Delivery, event: MessageEvent | Rebind | None, error: str) -> None:
        try:
            if isinstance(event, MessageEvent) and event.object_name:
                await self._keep_spooled(delivery, event, error)
            else:
                await self._bus.publish_dead(delivery.headers, delivery.data, error, delivery.deliveries)
        except EventError as failure:
            # It names no message, so it is none of ours and nobody will miss it.
            log.error("not-an-event", subject=delivery.subject[:400], error=str(failure))
        except BodyMissing as failure:
            log.error("dead-without-bytes", error=str(failure))

    async def _keep_spooled(self, delivery: Delivery, event: MessageEvent, error: str) -> None:
        path = self._media.spool()
        try:
            await self._bus.get_body(event.object_name, path)
            await self._bus.publish_dead(delivery.headers, path, error, delivery.deliveries)
        finally:
            path.unlink(missing_ok=True)


def _dead_event(event: MessageEvent | Rebind, error: Exception, deliveries: int) -> Dead:
    identity = event.identity
    return Dead(
        account=identity.account,
        mailbox=identity.mailbox,
        uidvalidity=identity.uidvalidity,
        uid=identity.uid,
        mailbox_id=event.mailbox_id,
        at=datetime.now(UTC),
        error=describe(error),
        deliveries=deliveries,
    )


def describe(error: Exception) -> str:
    """One line, of bounded length."""
    text = " ".join(str(error).split())[:1000]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
