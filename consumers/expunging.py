"""Expunged events: the rows stay, with the time at which their messages were found gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from consumers.retrying import Retrying, Stopping
from consumers.settlement import describe
from mailcore.bus import Delivery
from mailcore.errors import EventError, MozzartError
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Expunged, decode_thin
from mailcore.store import Store

log = structlog.get_logger(__name__)

_LATER = 5.0


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
        marks = [(event.identity, event.at) for event in events.values()]
        try:
            await self._retrying.run(lambda: self._store.mark_expunged(marks))
        except Stopping:
            return
        except MozzartError as error:
            log.warning("not-marked", messages=len(marks), error=describe(error))
            for delivery in events:
                delivery.nak(_LATER)
            return
        for delivery, event in events.items():
            log.info("expunged", identity=str(event.identity))
            delivery.ack()


def _decode(delivery: Delivery) -> Expunged:
    _, kind = parse_subject(delivery.subject)
    event = decode_thin(kind, delivery.data)
    if not isinstance(event, Expunged):
        raise EventError(f"not an expunged event: {kind[:80]!r}")
    return event
