"""A pull loop on raw pull requests (NATS ADR-9, ADR-37).

What is there is handed over at once; while nothing is there a request waits at the server: a message is one hop away.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from mailcore.bus.core.connection import NO_RESPONDERS, Connection
from mailcore.bus.core.headers import decode_status
from mailcore.bus.jetstream.delivery import Delivery, parse_metadata
from mailcore.bus.layout.durables import ACK_WAIT
from mailcore.errors import BusError, EventError

log = structlog.get_logger(__name__)

MAX_MESSAGES: Final = 200
MAX_BYTES: Final = 16 << 20
_EXPIRES: Final = 30.0
_HEARTBEAT: Final = 5.0
_SILENCE: Final = 2 * _HEARTBEAT + 1
_HEADROOM: Final = 80 << 10  # headers, subject and reply subject beside a payload
# One that lay here for so long will be redelivered by the server: it is not handed over twice.
_STALE: Final = ACK_WAIT.total_seconds() - 10
_PAUSE: Final = 0.25
_ORDINARY: Final = ("message size exceeds maxbytes", "batch completed", "server shutdown", "leadership change")
_GONE: Final = ("consumer deleted", "consumer is push based", "stream deleted")


class Interrupted(BusError):
    """The consumer behind a pull is gone or may have lost deliveries; whoever made it must make it again."""


class Pull:
    """Deliveries of one consumer for one taker.

    `next` may be cancelled at any time: what had arrived stays for the next call. `restore` makes a missing consumer
    again and returns its birth, which is `born` as long as it is the same one. Without it (a consumer without acks,
    where a lost connection loses deliveries) every loss raises Interrupted.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        consumer: str,
        *,
        born: str = "",
        restore: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._consumer = consumer
        self._restore = restore
        self._born = born
        self._inbox = connection.wire.new_inbox()
        self._sid = connection.wire.subscribe_sink(f"{self._inbox}.*", self._arrived)
        self._buffer: deque[tuple[float, Delivery]] = deque()
        self._wake = asyncio.Event()
        self._number = 0  # of the request under way
        self._left_messages = 0  # of it; 0: there is none
        self._left_bytes = 0
        self._heard = 0.0
        self._gone = False
        self._not_before = 0.0
        self._closed = False
        connection.watchers.append(self._changed)

    async def next(
        self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES, timeout: float | None = None
    ) -> list[Delivery]:
        """Wait until there is at least one delivery and return what has arrived, at most `max_messages` and (but for a
        single larger one) `max_bytes`; [] after `timeout` seconds. Survives reconnects, restarts of the server and,
        given `restore`, deleted consumers and streams. Raises BusError after close()."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        pause = 0.05
        while True:
            if self._closed:
                raise BusError(f"the pull of {self._stream}/{self._consumer} is closed")
            if taken := self._take(max_messages, max_bytes, loop.time()):
                return taken
            now = loop.time()
            if end is not None and now >= end:
                return []
            if self._gone:
                if not await self._restored(end, pause):
                    pause = min(pause * 2, 2.0)
                continue
            if self._left_messages and now - self._heard > _SILENCE:
                log.warning(
                    "pull-silent", stream=self._stream, consumer=self._consumer, seconds=round(now - self._heard, 1)
                )
                self._left_messages = 0
            again = now + _HEARTBEAT
            if not self._left_messages and self._connection.connected:
                if now >= self._not_before:
                    self._ask(max_messages, max_bytes, now)
                else:
                    again = self._not_before
            self._wake.clear()
            try:
                async with asyncio.timeout_at(again if end is None else min(again, end)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """What was delivered and not taken goes back to the server at once."""
        if self._closed:
            return
        self._closed = True
        self._connection.watchers.remove(self._changed)
        self._wake.set()
        if self._restore is None:  # without acks there is nothing to give back
            self._connection.wire.unsubscribe_sink(self._sid)
            return
        try:
            await self._connection.wire.drain_sink(self._sid)
        finally:
            for _, delivery in self._buffer:
                delivery.nak()
            self._buffer.clear()

    def _take(self, max_messages: int, max_bytes: int, now: float) -> list[Delivery]:
        out: list[Delivery] = []
        size = 0
        buffer = self._buffer
        while buffer and len(out) < max_messages and (not out or size + buffer[0][1].size <= max_bytes):
            arrived, delivery = buffer.popleft()
            if self._restore is None or now - arrived < _STALE:
                out.append(delivery)
                size += delivery.size
        return out

    def _ask(self, max_messages: int, max_bytes: int, now: float) -> None:
        self._number += 1
        self._left_messages = max_messages
        # A message that does not fit into what is asked for would end the request, for ever.
        self._left_bytes = max(max_bytes, self._connection.wire.max_payload + _HEADROOM)
        self._heard = now
        request = {
            "batch": self._left_messages,
            "max_bytes": self._left_bytes,
            "expires": int(_EXPIRES * 1e9),
            "idle_heartbeat": int(_HEARTBEAT * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        self._connection.wire.publish_parts(subject, f"{self._inbox}.{self._number}", b"", json.dumps(request).encode())

    def _arrived(self, subject: str, reply: str, block: bytes, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if reply.startswith("$JS.ACK."):
            try:
                metadata = parse_metadata(reply)
            except EventError as error:
                log.error("pull-bad-reply", error=str(error))
                return
            size = len(subject) + len(reply) + len(block) + len(data)
            self._heard = now
            self._left_messages = max(self._left_messages - 1, 0)
            self._left_bytes -= size
            if self._left_bytes <= 0:
                self._left_messages = 0
            self._buffer.append((now, Delivery(subject, data, metadata, block, reply, self._answerer(), size)))
            self._wake.set()
            return
        status = decode_status(block)
        if subject != f"{self._inbox}.{self._number}":
            return  # of a request that was given up
        self._heard = now
        if status.code == 100:  # heartbeat
            return
        self._left_messages = 0
        text = status.text.lower()
        if status.code == NO_RESPONDERS or (status.code == 409 and text in _GONE):
            self._gone = True
        elif status.code == 409 and text not in _ORDINARY:
            log.warning("pull-refused", stream=self._stream, consumer=self._consumer, error=status.text)
            self._not_before = now + _PAUSE
        self._wake.set()

    def _answerer(self) -> Callable[[str, bytes], None]:
        born = self._born

        def answer(reply: str, payload: bytes) -> None:
            # A stream made anew counts from one: an old acknowledgement would settle a message nobody has seen.
            if born == self._born:
                self._connection.wire.publish_parts(reply, "", b"", payload)

        return answer

    def _changed(self, up: bool) -> None:
        self._left_messages = 0
        if self._restore is None:
            self._gone = True
        self._wake.set()

    async def _restored(self, end: float | None, pause: float) -> bool:
        if self._restore is None:
            raise Interrupted(f"the reading of {self._stream} was interrupted")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(end):
                born = await self._restore()
        except (BusError, TimeoutError) as error:
            log.warning("consumer-missing", stream=self._stream, consumer=self._consumer, error=str(error))
            await asyncio.sleep(pause if end is None else max(min(pause, end - loop.time()), 0))
            return False
        if born != self._born:
            log.warning("consumer-anew", stream=self._stream, consumer=self._consumer, unsettled=len(self._buffer))
            self._born = born
            self._buffer.clear()
        self._gone = False
        return True
