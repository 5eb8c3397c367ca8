"""Dead letters: messages that could not be stored, with their raw bytes and their error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path

import structlog

from mailcore.bus.bodies import Bodies
from mailcore.bus.layout import MAIL_DEAD, SUBJECTS
from mailcore.bus.publish import Publisher
from mailcore.bus.reader import Reader
from mailcore.errors import EventError
from mailcore.events.dead_letter import DeadLetter, dead_headers, dead_subject, identity_of

log = structlog.get_logger(__name__)


class DeadLetters:
    def __init__(self, publisher: Publisher, reader: Reader, bodies: Bodies) -> None:
        self._publisher = publisher
        self._reader = reader
        self._bodies = bodies

    async def publish(
        self, delivery_headers: Mapping[str, str], body: bytes | Path, error: str, deliveries: int
    ) -> None:
        identity = identity_of(delivery_headers)
        name, payload = "", b""
        if isinstance(body, Path):
            name = str(identity)
            await self._bodies.put(name, body)
        else:
            payload = body
        headers = dead_headers(delivery_headers, error, deliveries, name)
        await self._publisher.publish(dead_subject(identity.key), headers, payload)

    async def letters(self) -> AsyncGenerator[DeadLetter, None]:
        read = self._reader.read(MAIL_DEAD, SUBJECTS[MAIL_DEAD], headers_only=True)
        async with aclosing(read):
            async for delivery in read:
                try:
                    yield DeadLetter.decode(delivery.seq, delivery.headers)
                except EventError as error:
                    log.warning("dead-letter-unreadable", seq=delivery.seq, error=str(error))
