"""Small events that are stored together or not at all (NATS ADR-50): one sync of the disk and one PubAck for all.

Nobody relies on their being stored together: whoever gets False publishes each by itself, under the same Nats-Msg-Id.
Servers before 2.12 know no batches; one event that the stream has already makes the server refuse the batch.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import structlog

from mailcore.bus.core.connection import NO_RESPONDERS, Connection
from mailcore.bus.jetstream.publish import ATTEMPT, Publisher
from mailcore.events.thin import ThinEvent

log = structlog.get_logger(__name__)

MOST: Final = 1_000  # what a server takes in one batch
_DISABLED: Final = 10174  # err_code: the stream has no `allow_atomic`
_OFTEN: Final = 60.0  # seconds until a server that knew no batches is asked again


class Batches:
    """Those of one process."""

    def __init__(self, connection: Connection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher
        self._not_before = 0.0

    async def publish(self, events: Sequence[ThinEvent]) -> bool:
        """Whether all of them, of one stream, are stored now. Raises BusError, retry NEVER, for what NATS cannot
        take."""
        loop = asyncio.get_running_loop()
        if not 1 < len(events) <= MOST or not self._connection.connected or loop.time() < self._not_before:
            return False
        try:
            async with asyncio.timeout(ATTEMPT):
                return await self._publish(events)
        except TimeoutError:
            return False

    async def _publish(self, events: Sequence[ThinEvent]) -> bool:
        wire = self._connection.wire
        with self._connection.asking() as (reply, answer):
            name = "-".join(reply.split(".")[-2:])
            for number, event in enumerate(events, 1):
                headers = event.headers() | {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(number)}
                last = number == len(events)
                if last:
                    headers["Nats-Batch-Commit"] = "1"
                message = self._publisher.prepare(event.nats_subject, headers, event.payload())
                await wire.room()
                wire.publish_parts(message.subject, reply if last else "", message.block, message.payload)
            got = await answer
        if got is None or got.status == NO_RESPONDERS:
            return False
        ack = json.loads(got.data)
        error = ack.get("error", {})
        # Without `count` the server has taken each for an event of its own, and told of the last one alone.
        if error.get("err_code") == _DISABLED or ("count" not in ack and not error):
            self._not_before = asyncio.get_running_loop().time() + _OFTEN
        log.debug("batch-published", events=len(events), error=error.get("description", ""))
        if ack.get("count") != len(events):
            return False
        self._publisher.acked()
        return True
