"""A stream and a durable that one process has for itself, beside the layout that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from mailcore.bus.core.connection import Connection
from mailcore.bus.jetstream.api import CONSUMER_NOT_FOUND, STREAM_NOT_FOUND, ApiError, JetStream
from mailcore.bus.jetstream.publish import PubAck, Publisher
from mailcore.bus.jetstream.pull import Pull
from mailcore.bus.layout.durables import ACK_WAIT
from mailcore.bus.layout.streams import ns

log = structlog.get_logger(__name__)

# So many deliveries may wait for another attempt; what comes after them waits in the stream.
_PENDING: Final = 1_000


class Dedicated:
    """Raises BusError, as all of the bus."""

    def __init__(self, connection: Connection, jetstream: JetStream, publisher: Publisher) -> None:
        self._connection = connection
        self._jetstream = jetstream
        self._publisher = publisher
        self._pulls: list[Pull] = []

    async def stream(self, config: Mapping[str, Any]) -> None:
        """Make the stream if it is not there; one that is keeps its limits."""
        try:
            await self._jetstream.call(f"STREAM.INFO.{config['name']}")
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise
            await self._jetstream.call(f"STREAM.CREATE.{config['name']}", dict(config))
            log.info("stream-created", stream=config["name"])

    async def pull(self, stream: str, durable: str, filters: Sequence[str]) -> Pull:
        """Deliveries of the durable, which is made if it is not there: then it begins with what is published from now
        on. One that is there goes on where it was, with these filters."""
        now = datetime.now(UTC)

        async def made() -> str:
            return await self._durable(stream, durable, filters, now)

        async def restore() -> str:
            await self._jetstream.restore()
            return await made()

        pull = Pull(self._connection, stream, durable, born=await made(), restore=restore)
        self._pulls.append(pull)
        return pull

    async def publish(self, subject: str, headers: Mapping[str, str], payload: bytes) -> PubAck:
        """Publish and await the PubAck."""
        return await self._publisher.publish(subject, dict(headers), payload)

    async def close(self) -> None:
        for pull in self._pulls:
            await pull.close()

    async def _durable(self, stream: str, durable: str, filters: Sequence[str], since: datetime) -> str:
        try:
            info = await self._jetstream.call(f"CONSUMER.INFO.{stream}.{durable}")
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
            config = {
                "name": durable,
                "durable_name": durable,
                "deliver_policy": "by_start_time",
                "opt_start_time": since.isoformat(),
                "ack_policy": "explicit",
                "ack_wait": ns(ACK_WAIT),
                "max_ack_pending": _PENDING,
                "max_deliver": -1,
                "filter_subjects": list(filters),
            }
            log.info("consumer-created", stream=stream, consumer=durable)
        else:
            config = info["config"]
            found = config.get("filter_subjects") or [config.get("filter_subject")]
            if set(found) == set(filters):
                return str(info["created"])
            config = {name: value for name, value in config.items() if name != "filter_subject"}
            config["filter_subjects"] = list(filters)
            log.info("consumer-updated", stream=stream, consumer=durable)
        info = await self._jetstream.call(
            f"CONSUMER.DURABLE.CREATE.{stream}.{durable}", {"stream_name": stream, "config": config}
        )
        return str(info["created"])
