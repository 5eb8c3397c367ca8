"""A connection that lasts: up or down, and requests whose answers come to one inbox."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import structlog

from mailcore.bus.core.address import Address, parse_address
from mailcore.bus.core.headers import decode_headers, decode_status
from mailcore.bus.core.wire import Wire
from mailcore.errors import BusError, Retry

log = structlog.get_logger(__name__)

NO_RESPONDERS: Final = 503


class Reply(NamedTuple):
    """One answer: its inline status (0 for none), its header block, its payload."""

    status: int
    block: bytes
    data: bytes

    @property
    def headers(self) -> dict[str, str]:
        return decode_headers(self.block)


# None: the connection went down; whether the other side heard us is not known.
Answer = asyncio.Future[Reply | None]


class Connection:
    """The connection of one process and its state. All of a process's traffic shares it."""

    def __init__(self, address: Address, name: str) -> None:
        self.address = address
        self.name = name
        self.up = asyncio.Event()
        self.closing = False
        self.closed = False
        self.wire = Wire(self._changed)
        self.watchers: list[Callable[[bool], None]] = []
        self._waiting: dict[str, Answer] = {}
        self._numbers = itertools.count()
        self._inbox = ""
        self._was_up = False

    @classmethod
    async def open(cls, url: str, *, name: str, connect_timeout: float) -> Connection:
        """Raises BusError when no server takes us within `connect_timeout` seconds."""
        connection = cls(parse_address(url), name)
        connecting = asyncio.ensure_future(connection.wire.open(connection.address, name))
        refusal = asyncio.ensure_future(connection.wire.refused.wait())
        try:
            await asyncio.wait({connecting, refusal}, timeout=connect_timeout, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done() or connecting.exception():
                raise connection._why_not(connect_timeout)
            connection._inbox = connection.wire.new_inbox()
            connection.wire.subscribe_sink(f"{connection._inbox}.*", connection._answered)
        except BaseException:  # cancelled, too: nobody else knows of this socket yet
            await _end(connecting)
            await connection.wire.shut()
            raise
        finally:
            await _end(refusal)
        return connection

    def _why_not(self, seconds: float) -> BusError:
        if self.wire.refused.is_set():
            return BusError(f"NATS at {self.address} refused the credentials: check NATS_URL", retry=Retry.LATER)
        return BusError(
            f"no NATS server answered at {self.address} within {seconds:g} s ({self.wire.trouble}): "
            "is it running, and is NATS_URL right?"
        )

    @property
    def connected(self) -> bool:
        return self.up.is_set() and self.wire.is_connected

    async def ready(self) -> None:
        """Wait until the connection is up. Raises BusError when it is closed for good."""
        await self.up.wait()
        if self.closed:
            raise BusError(f"the connection to {self.address} is closed")

    def expect(self) -> tuple[str, Answer]:
        """A reply subject and the future of its answer; `forget` the subject in the end."""
        token = f"{next(self._numbers):x}"
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        return f"{self._inbox}.{token}", answer

    def forget(self, reply: str) -> None:
        """Whatever still comes to that reply subject is dropped."""
        self._waiting.pop(reply[len(self._inbox) + 1 :], None)

    @contextmanager
    def asking(self) -> Iterator[tuple[str, Answer]]:
        """A reply subject and the future of its answer."""
        reply, answer = self.expect()
        try:
            yield reply, answer
        finally:
            self.forget(reply)

    async def ask(self, subject: str, payload: bytes, timeout: float, block: bytes = b"") -> Reply | None:
        """One request, one answer; None when the connection was lost meanwhile. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self.ready()
            await self.wire.room()
            with self.asking() as (reply, answer):
                self.wire.publish_parts(subject, reply, block, payload)
                return await answer

    def unused_reply(self) -> str:
        """A reply subject for a request whose answer nobody wants."""
        return f"{self._inbox}.-"

    async def close(self, deadline: float) -> None:
        """Let what is queued reach the server, within `deadline` seconds, then disconnect. Who waits gets BusError."""
        self.closing = True
        try:
            async with asyncio.timeout(deadline):
                if self.connected:
                    await self.wire.handled()
        except (TimeoutError, OSError):
            log.warning("nats-closed-early", server=str(self.address), deadline_s=deadline)
        finally:
            await self.wire.shut()
            self.closed = True
            self.up.set()  # who waits for it need not wait any longer

    def _answered(self, subject: str, reply: str, block: bytes, data: bytes) -> None:
        answer = self._waiting.get(subject[len(self._inbox) + 1 :])
        if answer is not None and not answer.done():
            answer.set_result(Reply(decode_status(block).code if block else 0, block, data))

    def _changed(self, up: bool) -> None:
        if up:
            log.info(
                "nats-reconnected" if self._was_up else "nats-connected", server=str(self.address), client=self.name
            )
            self._was_up = True
            self.up.set()
        else:
            if self.up.is_set() and not self.closing:
                log.warning("nats-disconnected", server=str(self.address), error=str(self.wire.trouble or ""))
            self.up.clear()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(None)
        for watcher in tuple(self.watchers):
            try:
                watcher(up)
            except Exception:  # one watcher must not keep the others from hearing of the change
                log.exception("nats-watcher-failed")


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks of ours and wait until they have ended."""
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending, timeout=1)


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel until it has ended: nats-py's connect loop can lose one cancellation (a `wait_for` in it)."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    if not task.cancelled():
        task.exception()
