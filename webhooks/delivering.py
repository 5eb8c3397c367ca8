"""The loop: pull an event, send it, settle it. JetStream keeps the waiting ones, so a restart forgets no attempt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import structlog

from mailcore.bus import Bus, Delivery, Pull
from mailcore.errors import BusError, EventError
from mailcore.events.undelivered import undelivered_headers, undelivered_subject
from webhooks import metrics
from webhooks.disposition import Action, Answer, dispose
from webhooks.notice import Notice, decode
from webhooks.sending import Receiver

log = structlog.get_logger(__name__)

AT_ONCE: Final = 8
GRACE: Final = 1.0  # `mozzart up` gives us little more
_TELL_EVERY: Final = 60.0
_LATER: Final = 60.0


class Delivering:
    """`words` are the names of WEBHOOK_EVENTS that are sent."""

    def __init__(self, bus: Bus, receiver: Receiver, words: Collection[str]) -> None:
        self._bus = bus
        self._receiver = receiver
        self._words = words
        self._failing_since: float | None = None
        self._failed = 0
        self._told = 0.0
        self._under_way: dict[asyncio.Task[None], Delivery] = {}

    async def run(self, pull: Pull, stop: asyncio.Event) -> None:
        """Until `stop` is set; what is under way then gets a second, and what did not end is given back."""
        stopping = asyncio.ensure_future(stop.wait())
        pulling = asyncio.ensure_future(self._pull(pull))
        try:
            await asyncio.wait((stopping, pulling), return_when=asyncio.FIRST_COMPLETED)
            if pulling.done():
                pulling.result()
        finally:
            stopping.cancel()
            pulling.cancel()
            await asyncio.wait((stopping, pulling))
            # The pull first: while its request waits at the server, what is given back would come to us again.
            await pull.close()
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=GRACE)
            for task, delivery in tuple(self._under_way.items()):
                task.cancel()
                delivery.nak()

    async def _pull(self, pull: Pull) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        def ended(task: asyncio.Task[None]) -> None:
            del self._under_way[task]
            room.release()

        while True:
            await room.acquire()
            for delivery in await pull.next(1):  # one: without a timeout it never comes back with none
                task = asyncio.ensure_future(self._take(delivery))
                self._under_way[task] = delivery
                task.add_done_callback(ended)

    async def _take(self, delivery: Delivery) -> None:
        try:
            await self._deliver(delivery)
        except Exception:
            # A bug that one event finds holds up no other: it comes again until its stream lets it go.
            log.exception("delivery-failed", subject=delivery.subject[:400])
            delivery.nak(_LATER)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            notice = decode(delivery.subject, delivery.headers, delivery.data)
        except EventError as error:
            log.error("not-an-event", subject=delivery.subject[:400], error=str(error))
            delivery.term()
            return
        if notice.word not in self._words:
            delivery.ack()
            return
        began = asyncio.get_running_loop().time()
        answer = await self._receiver.send(notice)
        metrics.SECONDS.observe(asyncio.get_running_loop().time() - began)
        disposition = dispose(
            answer,
            attempts=delivery.deliveries,
            age=datetime.now(UTC) - delivery.published_at,
            jitter=random.random(),  # noqa: S311  # it spreads attempts, it keeps no secret
        )
        metrics.ATTEMPTS.labels(disposition.action.value).inc()
        self._observe(answer)
        if disposition.action is Action.DONE:
            log.info("delivered", id=notice.id, status=answer.status, attempts=delivery.deliveries)
            delivery.ack()
        elif disposition.action is Action.AGAIN:
            log.debug("not-delivered", id=notice.id, error=str(answer), again_in_s=round(disposition.delay, 1))
            delivery.nak(disposition.delay)
        else:
            await self._bury(delivery, notice, answer)

    async def _bury(self, delivery: Delivery, notice: Notice, answer: Answer) -> None:
        log.error("given-up", id=notice.id, error=str(answer), attempts=delivery.deliveries)
        try:
            await self._bus.dedicated.publish(
                undelivered_subject(delivery.subject),
                undelivered_headers(delivery.headers, str(answer), delivery.deliveries),
                delivery.data,
            )
        except BusError as error:
            log.warning("not-buried", id=notice.id, error=str(error))
            delivery.nak(_LATER)
        else:
            delivery.term()

    def _observe(self, answer: Answer) -> None:
        """One line when the receiver begins to fail, one a minute while it does, one when it is well again."""
        now = asyncio.get_running_loop().time()
        if answer.good:
            if self._failing_since is not None:
                log.info("receiver is well again", after_s=round(now - self._failing_since, 1), failed=self._failed)
            self._failing_since, self._failed = None, 0
            return
        self._failed += 1
        if self._failing_since is None or now - self._told >= _TELL_EVERY:
            self._failing_since = self._failing_since if self._failing_since is not None else now
            self._told = now
            log.warning("not-delivered", receiver=self._receiver.name, error=str(answer), failed=self._failed)
