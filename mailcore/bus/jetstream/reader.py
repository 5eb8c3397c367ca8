"""Reading a stream in order, leaving no trace in it: ephemeral consumers, made again where the last one stopped."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import structlog

from mailcore.bus.core.connection import Connection
from mailcore.bus.jetstream.api import STREAM_NOT_FOUND, ApiError, JetStream
from mailcore.bus.jetstream.delivery import Delivery
from mailcore.bus.jetstream.pull import Interrupted, Pull
from mailcore.bus.layout.streams import ns

log = structlog.get_logger(__name__)

# None: from now on; "all": from the first; a number: that many last ones; a time: from then on
Since = datetime | Literal["all"] | int | None

_IDLE: Final = timedelta(minutes=1)  # after which the server removes a reader that died


class Reader:
    def __init__(self, connection: Connection, jetstream: JetStream) -> None:
        self._connection = connection
        self._jetstream = jetstream
        self._pulls: set[Pull] = set()

    async def read(
        self,
        stream: str,
        filters: Sequence[str],
        *,
        after: int = 0,
        since: datetime | None = None,
        headers_only: bool = False,
        follow: bool = False,
        max_bytes: int = 1 << 20,
    ) -> AsyncGenerator[Delivery, None]:
        """Each message that a filter lets through (all, where there is none) once, in the order of the stream, from the
        sequence `after` (excluded) or the time `since` on; ends with the last one there was, unless `follow`.

        Close it (`contextlib.aclosing`) when leaving it early. Raises BusError.
        """
        while True:
            config: dict[str, Any] = {
                "name": self._connection.wire.new_inbox().rpartition(".")[2],
                "ack_policy": "none",
                "filter_subjects": list(filters),
                "headers_only": headers_only,
                "mem_storage": True,
                "num_replicas": 1,
                "inactive_threshold": ns(_IDLE),
                **_start(after, since),
            }
            name = config["name"]
            try:
                made = await self._jetstream.call(
                    f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": config}
                )
            except ApiError as error:
                if error.err_code != STREAM_NOT_FOUND:
                    raise
                await self._jetstream.restore()
                after = 0
                continue
            if not follow and not made.get("num_pending", 0):
                self._delete(stream, name)
                return
            pull = Pull(self._connection, stream, name)
            self._pulls.add(pull)
            try:
                async with aclosing(self._in_order(pull, max_bytes)) as deliveries:
                    async for delivery in deliveries:
                        after, since = delivery.seq, None
                        yield delivery
                        if not follow and not delivery.pending:
                            return
            except Interrupted as error:
                log.debug("reader-resumes", stream=stream, after=after, error=str(error))
                after = await self.resume_after(stream, after)
            finally:
                self._pulls.discard(pull)
                await pull.close()
                self._delete(stream, name)

    async def _in_order(self, pull: Pull, max_bytes: int) -> AsyncGenerator[Delivery, None]:
        expected = 1
        while True:
            for delivery in await pull.next(max_bytes=max_bytes):
                if delivery.metadata.consumer_seq != expected:
                    raise Interrupted(f"delivery {expected} did not arrive")
                expected += 1
                yield delivery

    async def resume_after(self, stream: str, after: int) -> int:
        """A stream made anew has fewer messages than we have read: begin with its first."""
        try:
            state = (await self._jetstream.call(f"STREAM.INFO.{stream}"))["state"]
        except ApiError:
            return 0
        return 0 if state["last_seq"] < after else after

    def _delete(self, stream: str, name: str) -> None:
        if self._connection.connected:
            self._connection.wire.publish_parts(
                f"$JS.API.CONSUMER.DELETE.{stream}.{name}", self._connection.unused_reply(), b"", b""
            )

    async def close(self) -> None:
        for pull in tuple(self._pulls):
            await pull.close()


def _start(after: int, since: datetime | None) -> dict[str, Any]:
    if since is not None:
        return {"deliver_policy": "by_start_time", "opt_start_time": since.astimezone(UTC).isoformat()}
    if after:
        return {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
    return {"deliver_policy": "all"}
