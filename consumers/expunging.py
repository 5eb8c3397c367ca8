"""Expunged events: the rows stay, with the time at which their messages were found gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from consumers.disposition import pause
from consumers.retrying import Retrying, Stopping
from consumers.settlement import describe
from mailcore.bus import Delivery
from mailcore.errors import EventError
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Expunged, decode_thin
from mailcore.fault import told
from mailcore.store import Store

log = structlog.get_logger(__name__)

Mark = tuple[Delivery, Expunged]


class Expunging:
    def __init__(self, store: Store, retrying: Retrying) -> None:
        self._store = store
        self._retrying = retrying

    async def take(self, deliveries: Sequence[Delivery], group: asyncio.TaskGroup) -> None:
        """Settle these. What is unsettled when the process is to stop is given back by whoever pulled it."""
        events: dict[Delivery, Expunged] = {}
        for delivery in deliveries:
            try:
                events[delivery] = _decode(delivery)
            except EventError as error:
                log.error("not-an-event", subject=delivery.subject[:400], error=str(error))
                delivery.term()
            except Exception as error:  # noqa: BLE001  # this one is told and comes again, and stops no other
                _give_back(delivery, delivery.headers.get("ce-id", delivery.subject)[:400], error)
        try:
            await self._retrying.isolate(list(events.items()), self._mark, _refuse)
        except Stopping:
            return

    async def _mark(self, marks: Sequence[Mark]) -> None:
        await self._store.mark_expunged([(event.identity, event.at, event.mailbox_id) for _, event in marks])
        for delivery, event in marks:
            log.info("expunged", identity=str(event.identity))
            delivery.ack()


async def _refuse(mark: Mark, error: Exception) -> None:
    delivery, event = mark
    _give_back(delivery, str(event.identity), error)


def _give_back(delivery: Delivery, what: str, error: Exception) -> None:
    again = pause(delivery.deliveries)
    log.warning("not-marked", identity=what, error=describe(told(error, f"marking {what}")), again_in_s=again)
    delivery.nak(again)


def _decode(delivery: Delivery) -> Expunged:
    _, kind = parse_subject(delivery.subject)
    event = decode_thin(kind, delivery.data)
    if not isinstance(event, Expunged):
        raise EventError(f"not an expunged event: {kind[:80]!r}")
    return event
