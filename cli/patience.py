"""Waiting for a database that is starting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_fixed

from mailcore.errors import Retry, StoreError

log = structlog.get_logger(__name__)


async def patiently(work: Callable[[], Awaitable[int]], seconds: float) -> int:
    """The result of `work`, tried again for `seconds` while the database is down. Raises what it raised last."""
    trying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, StoreError) and error.retry is not Retry.NEVER),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(1),
        before_sleep=_tell,
        reraise=True,
    )

    async def once() -> int:  # what tenacity awaits must be a coroutine function
        return await work()

    return await trying(once)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("waiting for the database", error=str(error))
