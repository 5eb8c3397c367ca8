"""Dead letters: messages that could not be stored, with their raw bytes and their error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from mailcore.bus.bodies import Bodies
from mailcore.bus.jetstream import JetStream
from mailcore.bus.layout import DEAD_BUCKET, MAIL_DEAD
from mailcore.bus.link import Link
from mailcore.bus.publish import Publisher
from mailcore.bus.reader import Reader
from mailcore.errors import EventError
from mailcore.events.identity import Identity
from mailcore.events.subject import encode_token

_ERROR_BYTES: Final = 4_000
ERROR: Final = "mozzart-error"
DELIVERIES: Final = "mozzart-deliveries"
DATAREF: Final = "ce-dataref"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry of MAIL_DEAD without its bytes; `headers` are those of the event that died."""

    seq: int
    identity: Identity
    error: str
    deliveries: int
    headers: Mapping[str, str]


class DeadLetters:
    def __init__(self, link: Link, jetstream: JetStream, publisher: Publisher, reader: Reader, bodies: Bodies) -> None:
        self._link = link
        self._jetstream = jetstream
        self._publisher = publisher
        self._reader = reader
        self._bodies = bodies

    async def publish(
        self, delivery_headers: Mapping[str, str], body: bytes | Path, error: str, deliveries: int
    ) -> None:
        identity = identity_of(delivery_headers)
        headers = {name: value for name, value in delivery_headers.items() if not name.startswith("Nats-")}
        headers["Nats-Msg-Id"] = f"{identity}/dead"
        headers[ERROR] = quote(error, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~\"\\")[:_ERROR_BYTES]
        headers[DELIVERIES] = str(deliveries)
        payload = b""
        if isinstance(body, bytes):
            headers.pop(DATAREF, None)
            payload = body
        else:
            name = str(identity)
            await self._bodies.put(name, body)
            headers[DATAREF] = f"nats-object://{DEAD_BUCKET}/{quote(name, safe='')}"
        subject = f"dead.{encode_token(identity.account)}.{encode_token(identity.mailbox)}"
        await self._publisher.publish(subject, headers, payload)

    async def letters(self) -> AsyncGenerator[DeadLetter, None]:
        read = self._reader.read(MAIL_DEAD, ["dead.>"], headers_only=True)
        async with aclosing(read):
            async for delivery in read:
                try:
                    identity = identity_of(delivery.headers)
                    deliveries = int(delivery.headers.get(DELIVERIES, "0"))
                except (EventError, ValueError):
                    continue
                error = unquote(delivery.headers.get(ERROR, ""), errors="replace")
                yield DeadLetter(delivery.seq, identity, error, deliveries, delivery.headers)


def identity_of(headers: Mapping[str, str]) -> Identity:
    """The identity in `ce-id`, which a thin event follows by its type. Raises EventError."""
    return Identity.parse("/".join(headers.get("ce-id", "").split("/")[:4]))
