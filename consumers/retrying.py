"""Waiting for what the whole process needs: a database that is down, a disk that is full (I8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog

from consumers.disposition import is_passing
from mailcore.errors import MozzartError
from mailcore.waits import WAITS

log = structlog.get_logger(__name__)
T = TypeVar("T")
Item = TypeVar("Item")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LOG_EVERY: Final = 30.0


class Stopping(Exception):
    """No error: the wait ended because the process is to stop."""


class Retrying:
    """Repeats what failed for a reason that will pass. The deliveries are kept meanwhile, so nothing is parsed
    twice."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of the first attempt that does not fail so. Raises Stopping, and at once every other error."""
        loop, who = asyncio.get_running_loop(), object()
        try:
            return await self._repeat(attempt, who, loop)
        finally:
            WAITS.end(who)

    async def _repeat(self, attempt: Callable[[], Awaitable[T]], who: object, loop: asyncio.AbstractEventLoop) -> T:
        pause, began, logged = _FIRST_PAUSE, loop.time(), float("-inf")
        while True:
            try:
                result = await attempt()
            except MozzartError as error:
                if not is_passing(error):
                    raise
                WAITS.begin(who, str(error))
                if loop.time() - logged >= _LOG_EVERY:
                    logged = loop.time()
                    log.warning("waiting", reason=str(error), since_s=round(loop.time() - began, 1))
                await self.sleep(error.retry_after or pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                if logged > 0:
                    log.info("resumed", after_s=round(loop.time() - began, 1))
                return result

    async def sleep(self, seconds: float) -> None:
        """Raises Stopping when the process is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
        raise Stopping

    async def isolate(
        self,
        items: Sequence[Item],
        attempt: Callable[[Sequence[Item]], Awaitable[object]],
        refuse: Callable[[Item, Exception], Awaitable[None]],
    ) -> None:
        """`attempt` all together; where that fails, by a bug of ours, too, halves of them, until each culprit stands
        alone and is refused (I5)."""
        if not items:
            return
        try:
            await self.run(lambda: attempt(items))
        except Stopping:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, it is the culprit's alone
            if len(items) == 1:
                await refuse(items[0], error)
                return
            half = len(items) // 2
            await self.isolate(items[:half], attempt, refuse)
            await self.isolate(items[half:], attempt, refuse)
