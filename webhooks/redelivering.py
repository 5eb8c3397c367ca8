"""Once more, because a person asked: what was given up is sent again, and leaves WEBHOOK_DEAD when it was taken."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from pydantic import ValidationError

from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.bus.core.requests import Subscription
from mailcore.errors import EventError
from mailcore.events.undelivered import REDELIVER, Redeliver, Redelivered
from mailcore.undelivered import UndeliveredMissing
from webhooks import metrics
from webhooks.disposition import Action
from webhooks.notice import decode
from webhooks.sending import Receiver

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4


class Redelivering:
    """The receiver gets the event with its own id: whoever has it already knows it."""

    def __init__(self, bus: Bus, receiver: Receiver) -> None:
        self._bus = bus
        self._receiver = receiver
        self._room = asyncio.Semaphore(AT_ONCE)

    async def begin(self) -> Subscription:
        """Requests are answered from now on, until the subscription is stopped."""
        return await self._bus.respond(REDELIVER, self._answer)

    async def _answer(self, request: bytes) -> bytes:
        try:
            seq = Redeliver.model_validate_json(request).seq
        except ValidationError:
            return _told("missing", "not a request for a delivery")
        async with self._room:
            return await self._deliver(seq)

    async def _deliver(self, seq: int) -> bytes:
        try:
            entry = await undelivered.entry(self._bus, seq)
            notice = decode(entry.subject, entry.headers, entry.payload)
        except UndeliveredMissing as error:
            return _told("missing", str(error))
        except EventError as error:
            return _told("missing", f"the undelivered event {seq} cannot be sent: {error}")
        answer = await self._receiver.send(notice)
        metrics.ATTEMPTS.labels((Action.DONE if answer.good else Action.DEAD).value).inc()
        if not answer.good:
            log.warning("not-redelivered", id=notice.id, error=str(answer))
            return _told("refused", str(answer))
        # Only now: a crash in between leaves it there, and the receiver knows the id.
        await undelivered.remove(self._bus, seq)
        log.info("redelivered", id=notice.id, status=answer.status)
        return _told("delivered")


def _told(status: str, error: str = "") -> bytes:
    return Redelivered.model_validate({"status": status, "error": error}).model_dump_json().encode()
