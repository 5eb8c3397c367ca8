"""The pull loop: batches as they come, a bounded number at once, none of them redelivered while it is at work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from mailcore.bus import ACK_WAIT, Delivery, Pull

# How long what is under way may take to end once the process is to stop.
GRACE: Final = 3.0
_HEARTBEAT: Final = ACK_WAIT.total_seconds() / 3

T = TypeVar("T")
Take = Callable[[Sequence[Delivery], asyncio.TaskGroup], Awaitable[None]]


class Pulling:
    """`messages` and `octets` bound a batch, `batches` those under way."""

    def __init__(self, pull: Pull, stop: asyncio.Event, *, messages: int, octets: int, batches: int) -> None:
        self._pull = pull
        self._stop = stop
        self._messages = messages
        self._octets = octets
        self._room = asyncio.Semaphore(batches)
        self._open: set[Delivery] = set()

    async def run(self, take: Take) -> None:
        """Until `stop` is set and what is under way has ended, or its grace has. `take` settles deliveries, or hands
        them to the task group; what is unsettled at the end is given back, so that another consumer has it at once."""
        stopping = asyncio.ensure_future(self._stop.wait())
        heartbeat = asyncio.ensure_future(self._keep_alive())
        try:
            async with asyncio.timeout(None) as grace, asyncio.TaskGroup() as group:
                while deliveries := await self._next(stopping):
                    group.create_task(self._take(take, deliveries, group))
                grace.reschedule(asyncio.get_running_loop().time() + GRACE)
        except TimeoutError:
            pass
        finally:
            for task in (stopping, heartbeat):
                task.cancel()
            await self._give_back()

    async def _next(self, stopping: asyncio.Future[Any]) -> list[Delivery]:
        """Deliveries, or [] when it is time to stop. Takes room for one batch when it has some."""
        if not await _unless(stopping, self._room.acquire()):
            return []
        deliveries = await _unless(stopping, self._pull_some())
        if not deliveries:
            self._room.release()
        return deliveries or []

    async def _pull_some(self) -> list[Delivery]:
        # Nothing can come between the two lines: what has arrived is ours to give back, whatever ends us.
        deliveries = await self._pull.next(self._messages, self._octets)
        self._open.update(deliveries)
        return deliveries

    async def _take(self, take: Take, deliveries: list[Delivery], group: asyncio.TaskGroup) -> None:
        try:
            await take(deliveries, group)
        finally:
            self._room.release()
            self._open.difference_update([each for each in deliveries if each.settled])

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            self._open = {delivery for delivery in self._open if not delivery.settled}
            for delivery in self._open:
                delivery.in_progress()

    async def _give_back(self) -> None:
        # The pull first: while its request waits at the server, what is given back would be delivered to us again.
        try:
            await self._pull.close()
        finally:
            for delivery in self._open:
                delivery.nak()


async def _unless(stopping: asyncio.Future[Any], wanted: Coroutine[Any, Any, T]) -> T | None:
    """What `wanted` gives, or None when `stopping` is done first. `wanted` must bear to be cancelled."""
    task = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
