"""Rebind events (I7): the rows of an old generation get the identities that a new UIDVALIDITY gave their messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from consumers.deletion import no_row
from consumers.retrying import Retrying
from consumers.settlement import Committed, Settlement
from mailcore.bus import Delivery
from mailcore.events.identity import Identity
from mailcore.events.thin import Rebind
from mailcore.store import Move, Slot, Store

log = structlog.get_logger(__name__)

Request = tuple[Delivery, Rebind]


class Rebinding:
    def __init__(self, store: Store, retrying: Retrying, settlement: Settlement) -> None:
        self._store = store
        self._retrying = retrying
        self._settlement = settlement

    async def take(self, requests: Sequence[Request]) -> None:
        """Each is settled when it returns, unless it raises Stopping."""
        await self._retrying.isolate(requests, self._attempt, lambda one, error: self._settlement.failed(*one, error))

    async def _attempt(self, requests: Sequence[Request]) -> None:
        identities = {event.identity: event.mailbox_id for _, event in requests}
        locations = await self._store.locate(identities)
        if unknown := identities.keys() - locations.keys():
            raise await no_row(self._store, min(unknown).account)
        slots = {identity: location.slot for identity, location in locations.items()}
        await self._store.rebind([_move(event, slots) for _, event in requests])
        locations = await self._store.locate(identities)
        told: list[Committed] = []
        for delivery, event in requests:
            row = locations[event.identity].stored
            if row is None:
                # The database was replaced since the syncer looked: nothing can be rebound. The syncer finds
                # the message neither in flight nor stored, and fetches it anew.
                log.warning("nothing-to-rebind", identity=str(event.identity), origin=str(_origin(event)))
                delivery.ack()
            else:
                log.info("rebound", identity=str(event.identity), origin=str(_origin(event)))
                told.append((delivery, event, row))
        await self._settlement.stored(told)


def _origin(event: Rebind) -> Identity:
    return replace(event.identity, uidvalidity=event.origin.uidvalidity, uid=event.origin.uid)


def _move(event: Rebind, slots: dict[Identity, Slot]) -> Move:
    target = slots[event.identity]
    return Move(origin=Slot(target.mailbox_id, event.origin.uidvalidity, event.origin.uid), target=target)
