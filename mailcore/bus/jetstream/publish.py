"""Publishing with a PubAck: pipelined by a window, repeated under the same Nats-Msg-Id until acknowledged."""

from __future__ import annotations

import asyncio
import json
from typing import Final, NamedTuple

import structlog

from mailcore.bus.core.connection import NO_RESPONDERS, Connection, Reply
from mailcore.bus.core.headers import encode_headers
from mailcore.bus.jetstream.api import JetStream
from mailcore.bus.jetstream.window import Window
from mailcore.errors import BusError, Retry, Scope
from mailcore.waits import WAITS

log = structlog.get_logger(__name__)

MAX_INLINE: Final = 8 << 20
HEADER_ROOM: Final = 64 << 10  # bytes of max_payload kept for headers; JetStream takes no more than this either
# nats-server closes the connection of whoever sends a longer control line (max_control_line, 4096).
_MAX_SUBJECT: Final = 3_800
ATTEMPT: Final = 5.0
TOTAL: Final = 30.0  # seconds
_WINDOW_COUNT: Final = 1_024
_WINDOW_BYTES: Final = 64 << 20
_SILENCE: Final = "it acknowledges nothing"
_RETRY_CODES: Final = (429, 500, 503)


class PubAck(NamedTuple):
    """`seq` is the sequence in `stream`; `duplicate` says that it had this id already, under that `seq`."""

    stream: str
    seq: int
    duplicate: bool


class Message(NamedTuple):
    """One message as it goes out; `what` names it in errors."""

    subject: str
    block: bytes
    payload: bytes
    what: str

    @property
    def size(self) -> int:
        return len(self.block) + len(self.payload)


class Publisher:
    def __init__(self, connection: Connection, jetstream: JetStream) -> None:
        self._connection = connection
        self._jetstream = jetstream
        self._window = Window(_WINDOW_COUNT, _WINDOW_BYTES)
        self.refused = False
        self._silence = _SILENCE

    @property
    def max_inline(self) -> int:
        return max(min(MAX_INLINE, self._connection.wire.max_payload) - HEADER_ROOM, 1)

    async def publish(self, subject: str, headers: dict[str, str], payload: bytes, *, total: float = TOTAL) -> PubAck:
        """Raises BusError: retry NEVER for what no attempt can mend (too large), LATER when no PubAck came in `total`
        seconds. Cancelled or failed, the message may still reach the stream: a repetition must use the same id."""
        message = self.prepare(subject, headers, payload)
        await self._window.take(message.size)
        try:
            return await self.attempts(message, total)
        finally:
            self._window.give(message.size)

    def prepare(self, subject: str, headers: dict[str, str], payload: bytes) -> Message:
        """The message, if NATS can take it. Raises BusError, retry NEVER."""
        message = Message(subject, encode_headers(headers), payload, headers.get("Nats-Msg-Id", subject))
        self._check(*message)
        return message

    def _check(self, subject: str, block: bytes, payload: bytes, what: str) -> None:
        limit = self._connection.wire.max_payload
        if len(block) + len(payload) > limit or len(block) > HEADER_ROOM:
            raise BusError(
                f"{what}: {len(payload)} bytes with {len(block)} of headers are more than NATS takes "
                f"(max_payload {limit}, headers {HEADER_ROOM}): put the body into the object store",
                scope=Scope.MESSAGE,
                retry=Retry.NEVER,
            )
        if len(subject) > _MAX_SUBJECT:
            raise BusError(
                f"{what[:200]}…: a subject of {len(subject)} bytes is more than NATS takes ({_MAX_SUBJECT}): "
                "the mailbox name is too long",
                scope=Scope.MAILBOX,
                retry=Retry.NEVER,
            )

    def acked(self) -> None:
        """A PubAck came: NATS takes what it is given."""
        if self.refused:
            self.refused = False
            self._silence = _SILENCE
            WAITS.end(self)

    def explain(self, words: str) -> None:
        """Why no PubAck comes, as somebody has found out; "" when nobody knows."""
        self._silence = words or _SILENCE
        if self.refused and words:
            self._wait(words)

    async def attempts(self, message: Message, total: float) -> PubAck:
        """Send it until its PubAck comes, for `total` seconds, outside of any window. Raises BusError as `publish`."""
        connection = self._connection
        loop = asyncio.get_running_loop()
        end = loop.time() + total
        why = "the connection is down"
        pause = 0.02
        while (now := loop.time()) < end:
            try:
                with connection.asking() as (reply, answer):
                    async with asyncio.timeout_at(min(now + ATTEMPT, end)):
                        if not connection.connected:
                            await connection.ready()
                        await connection.wire.room()
                        connection.wire.publish_parts(message.subject, reply, message.block, message.payload)
                        got = await answer
            except TimeoutError:
                why = "the connection is down"
                if connection.connected:
                    why = "no PubAck"
                    self._wait(self._silence)
                continue
            if got is None:
                why = "the connection was lost"
            elif got.status == NO_RESPONDERS:
                why = "no stream takes this subject"
                if await self._restored(end - loop.time()):
                    continue
            else:
                ack = read_ack(got, message.what)
                if isinstance(ack, PubAck):
                    self.acked()
                    return ack
                why = ack
                self._wait(why)
            await asyncio.sleep(min(pause, max(end - loop.time(), 0)))
            pause = min(pause * 2, 1.0)
        raise BusError(f"{message.what}: no PubAck from NATS at {connection.address} within {total:g} s: {why}")

    def _wait(self, why: str) -> None:
        self.refused = True
        WAITS.begin(self, f"NATS takes nothing: {why}")

    async def _restored(self, left: float) -> bool:
        """After a 503: the stream is gone, or JetStream is starting. True when all streams are there again."""
        try:
            async with asyncio.timeout(max(left, 0)):
                await self._jetstream.restore()
        except (BusError, TimeoutError) as error:
            log.warning("stream-missing", error=str(error))
            return False
        return True


def read_ack(reply: Reply, what: str) -> PubAck | str:
    """The PubAck, or why there is none yet and another attempt is right. Raises BusError when none ever will be."""
    answer = json.loads(reply.data)
    error = answer.get("error")
    if error is None:
        return PubAck(answer["stream"], answer["seq"], answer.get("duplicate", False))
    why = str(error.get("description", error))
    if error.get("code") not in _RETRY_CODES:
        raise BusError(f"{what}: JetStream refused it: {why}", scope=Scope.MESSAGE)
    return why
