"""Core NATS beside the streams: listening, and requests with answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from mailcore.bus.core.connection import NO_RESPONDERS, Connection, Reply, end_tasks
from mailcore.bus.core.headers import decode_headers, encode_headers
from mailcore.errors import BusError
from mailcore.fault import told

log = structlog.get_logger(__name__)

Callback = Callable[[str, bytes, Mapping[str, str]], None]
Answerer = Callable[[bytes], Awaitable[bytes]]

_ERROR: Final = "Nats-Service-Error"  # NATS ADR-32


class Subscription:
    """What `listen` and `respond` give: interest that lasts over reconnects until `stop()`."""

    def __init__(self, connection: Connection, sids: Sequence[int]) -> None:
        self._connection = connection
        self._sids = tuple(sids)

    async def stop(self) -> None:
        for sid in self._sids:
            self._connection.wire.unsubscribe_sink(sid)


class Requests:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._running: set[asyncio.Task[None]] = set()

    async def listen(self, subjects: Sequence[str], callback: Callback) -> Subscription:
        def heard(subject: str, reply: str, block: bytes, data: bytes) -> None:
            callback(subject, data, decode_headers(block) if block else {})

        subscription = Subscription(
            self._connection, [self._connection.wire.subscribe_sink(s, heard) for s in subjects]
        )
        await self._in_force()
        return subscription

    async def respond(self, subject: str, handler: Answerer) -> Subscription:
        def asked(_: str, reply: str, block: bytes, data: bytes) -> None:
            if reply:
                task = asyncio.get_running_loop().create_task(self._answer(subject, handler, reply, data))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

        subscription = Subscription(self._connection, [self._connection.wire.subscribe_sink(subject, asked)])
        await self._in_force()
        return subscription

    async def request(self, subject: str, payload: bytes, timeout: float) -> bytes:
        try:
            answer = await self._connection.ask(subject, payload, timeout)
        except TimeoutError:
            down = "" if self._connection.connected else f" (the connection to {self._connection.address} is down)"
            raise BusError(f"no answer to {subject} within {timeout:g} s{down}") from None
        if answer is None:
            raise BusError(
                f"the connection to {self._connection.address} was lost while waiting for an answer to {subject}"
            )
        if answer.status == NO_RESPONDERS:
            raise BusError(f"nobody answers {subject}: is the process that should running?")
        if error := answer.headers.get(_ERROR):
            raise BusError(f"{subject} failed where it was asked: {error}")
        return answer.data

    async def gather(self, subject: str, payload: bytes, timeout: float) -> list[bytes]:
        """All answers that come within `timeout` seconds; [] at once when nobody listens."""
        answers: list[Reply] = []
        nobody = asyncio.Event()

        def heard(_: str, reply: str, block: bytes, data: bytes) -> None:
            answer = Reply(0, block, data)
            if answer.data or _ERROR not in answer.headers:
                answers.append(answer)
            if block.startswith(b"NATS/1.0 503"):
                answers.clear()
                nobody.set()

        inbox = self._connection.wire.new_inbox()
        sid = self._connection.wire.subscribe_sink(inbox, heard)
        try:
            self._connection.wire.publish_parts(subject, inbox, b"", payload)
            async with asyncio.timeout(timeout):
                await nobody.wait()
        except TimeoutError:
            pass
        finally:
            self._connection.wire.unsubscribe_sink(sid)
        return [answer.data for answer in answers]

    async def close(self) -> None:
        await end_tasks(self._running)

    async def _answer(self, subject: str, handler: Answerer, reply: str, data: bytes) -> None:
        block = b""
        answer = b""
        try:
            answer = await handler(data)
        except Exception as error:  # noqa: BLE001  # it is told, here and to whoever asked
            log.error("request-failed", subject=subject, error=str(told(error, f"answering {subject}")))
            block = encode_headers({_ERROR: type(error).__name__, "Nats-Service-Error-Code": "500"})
        self._connection.wire.publish_parts(reply, "", block, answer)

    async def _in_force(self) -> None:
        """A subscription counts from now on; while the connection is down, from the reconnect on."""
        if self._connection.connected:
            try:
                async with asyncio.timeout(5):
                    await self._connection.wire.handled()
            except TimeoutError:
                log.warning("nats-slow", server=str(self._connection.address))
