"""Many publishes, one wait: each message is sent as it is given, and the PubAcks are looked at together.

A `publish` of its own costs a task, a timer and several turns of the event loop; in a pipeline only what is waited for
costs any. What the first attempt brings no PubAck for goes through the Publisher's attempts, under the same
Nats-Msg-Id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, NamedTuple, Self, TypeVar

from mailcore.bus.core.connection import NO_RESPONDERS, Answer, Connection
from mailcore.bus.jetstream.publish import ATTEMPT, TOTAL, Message, PubAck, Publisher, read_ack
from mailcore.errors import BusError
from mailcore.events.message import MessageEvent
from mailcore.events.thin import ThinEvent

T = TypeVar("T")

_MAX_COUNT: Final = 256
_MAX_BYTES: Final = 16 << 20


class _Sent(NamedTuple, Generic[T]):
    tag: T
    message: Message
    reply: str
    answer: Answer
    at: float


class Pipeline(Generic[T]):
    """`async with` it: at the end of the block every message that was sent has been told of, each once, in the order of
    sending: `ended(tag, PubAck)`, or `ended(tag, BusError)`, also when the block was left early.

    At most 256 messages and (but for a single larger one) 16 MB are under way. One task at a time.
    """

    def __init__(
        self, connection: Connection, publisher: Publisher, ended: Callable[[T, PubAck | BusError], None]
    ) -> None:
        self._connection = connection
        self._publisher = publisher
        self._ended = ended
        self._under_way: deque[_Sent[T]] = deque()
        self._size = 0

    async def send(self, tag: T, event: MessageEvent | ThinEvent) -> None:
        """Send it; wait only for room. Raises BusError, retry NEVER, for what NATS cannot take."""
        payload = event.body if isinstance(event, MessageEvent) else event.payload()
        message = self._publisher.prepare(event.nats_subject, event.headers(), payload)
        self._tell_early()
        while self._under_way and (len(self._under_way) >= _MAX_COUNT or self._size + message.size > _MAX_BYTES):
            await self._end(max(len(self._under_way) // 2, 1))
        await self._connection.wire.room()
        reply, answer = self._connection.expect()
        now = asyncio.get_running_loop().time()
        self._under_way.append(_Sent(tag, message, reply, answer, now))
        self._size += message.size
        if self._connection.connected:
            self._connection.wire.publish_parts(message.subject, reply, message.block, message.payload)
        else:
            answer.set_result(None)

    async def flush(self) -> bool:
        """Wait until all that was sent is told of; whether anything was under way."""
        count = len(self._under_way)
        if count:
            await self._end(count)
        return count > 0

    def _tell_early(self) -> None:
        """Of the oldest whose PubAcks are here: others may wait for what becomes of them while no more is sent."""
        while self._under_way and self._under_way[0].answer.done():
            try:
                outcome: PubAck | BusError | None = _ack(self._under_way[0])
            except BusError as error:
                outcome = error
            if outcome is None:
                return  # it needs another attempt, which takes its time
            self._ended(self._take().tag, outcome)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            while self._under_way:
                sent = self._take()
                try:
                    ack = _ack(sent)
                except BusError as refusal:
                    self._ended(sent.tag, refusal)
                else:
                    self._ended(sent.tag, ack or BusError(f"{sent.message.what}: given up before its PubAck came"))

    async def _end(self, count: int) -> None:
        """Hear of the `count` oldest. The last one first: when its answer is there, so are, as a rule, those before."""
        await _wait(self._under_way[count - 1])
        for _ in range(count):
            sent = self._under_way[0]
            await _wait(sent)
            try:
                outcome: PubAck | BusError = _ack(sent) or await self._again(sent)
            except BusError as error:
                outcome = error
            else:
                self._publisher.acked()
            self._take()
            self._ended(sent.tag, outcome)

    async def _again(self, sent: _Sent[T]) -> PubAck:
        spent = asyncio.get_running_loop().time() - sent.at
        return await self._publisher.attempts(sent.message, max(TOTAL - spent, ATTEMPT))

    def _take(self) -> _Sent[T]:
        sent = self._under_way.popleft()
        self._size -= sent.message.size
        self._connection.forget(sent.reply)
        return sent


async def _wait(sent: _Sent[T]) -> None:
    """Until the first attempt has its answer or its time is up."""
    left = sent.at + ATTEMPT - asyncio.get_running_loop().time()
    if not sent.answer.done() and left > 0:
        await asyncio.wait((sent.answer,), timeout=left)


def _ack(sent: _Sent[T]) -> PubAck | None:
    """What the first attempt brought; None when another is right. Raises BusError when none ever is."""
    reply = sent.answer.result() if sent.answer.done() else None
    if reply is None or reply.status == NO_RESPONDERS:
        return None
    ack = read_ack(reply, sent.message.what)
    return ack if isinstance(ack, PubAck) else None
