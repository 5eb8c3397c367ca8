"""Thin events that change what a row says of its message: it was found gone, its flags are others now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from consumers.disposition import pause
from consumers.retrying import Retrying, Stopping
from consumers.settlement import describe
from mailcore.bus import Delivery
from mailcore.errors import EventError
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Expunged, Flags, decode_thin
from mailcore.fault import told

log = structlog.get_logger(__name__)

Event = TypeVar("Event", bound=Expunged | Flags)


class Marking(Generic[Event]):
    """`mark` writes what events of the class `kind` say; to do it twice, or late, must be harmless."""

    def __init__(
        self, kind: type[Event], mark: Callable[[Sequence[Event]], Awaitable[None]], retrying: Retrying
    ) -> None:
        self._kind = kind
        self._mark_all = mark
        self._retrying = retrying

    async def take(self, deliveries: Sequence[Delivery], group: asyncio.TaskGroup) -> None:
        """Settle these. What is unsettled when the process is to stop is given back by whoever pulled it."""
        events: dict[Delivery, Event] = {}
        for delivery in deliveries:
            try:
                events[delivery] = self._decode(delivery)
            except EventError as error:
                log.error("not-an-event", subject=delivery.subject[:400], error=str(error))
                delivery.term()
            except Exception as error:  # noqa: BLE001  # this one is told and comes again, and stops no other
                _give_back(delivery, delivery.headers.get("ce-id", delivery.subject)[:400], error)
        try:
            await self._retrying.isolate(list(events.items()), self._mark, self._refuse)
        except Stopping:
            return

    async def _mark(self, marks: Sequence[tuple[Delivery, Event]]) -> None:
        await self._mark_all([event for _, event in marks])
        for delivery, event in marks:
            log.info(event.type, identity=str(event.identity))
            delivery.ack()

    async def _refuse(self, mark: tuple[Delivery, Event], error: Exception) -> None:
        delivery, event = mark
        _give_back(delivery, str(event.identity), error)

    def _decode(self, delivery: Delivery) -> Event:
        _, kind = parse_subject(delivery.subject)
        event = decode_thin(kind, delivery.data)
        if not isinstance(event, self._kind):
            raise EventError(f"not an event of the type {self._kind.type}: {kind[:80]!r}")
        return event


def _give_back(delivery: Delivery, what: str, error: Exception) -> None:
    again = pause(delivery.deliveries)
    log.warning("not-marked", identity=what, error=describe(told(error, f"marking {what}")), again_in_s=again)
    delivery.nak(again)
