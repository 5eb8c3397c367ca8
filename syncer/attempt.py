"""Try again, with the pause that the error's scope × retry asks for. tenacity counts; trio sleeps."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog
import tenacity
import trio

from mailcore.errors import Retry
from mailcore.sync.retry import Verdict, leaves, pause, verdict

log = structlog.get_logger(__name__)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise AssertionError("tenacity waits only after a failure")
    found = verdict(error)
    if not found.known:
        found = Verdict(found.scope, Retry.NEVER, None, found.text, known=False)  # a bug of ours: visible, but slow
    return pause(state.attempt_number, found, random.random)


async def keep_trying(
    what: str,
    run: Callable[[], Awaitable[None]],
    failed: Callable[[str, float], None],
    sleep: Callable[[float], Awaitable[None]] = trio.sleep,
) -> None:
    """Run `run` until it returns. After each error `failed(text, seconds until the next attempt)` is told. `sleep` may
    return early when somebody asks.

    Cancellation passes through. An unknown exception is a bug of ours: it is logged with its traceback and tried again
    slowly, so that it stops nobody else.
    """

    def before_sleep(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        if error is not None:
            found = verdict(error)
            if not found.known:
                log.error("unexpected error", what=what, exc_info=error)
            failed(found.text, seconds)

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: all(isinstance(leaf, Exception) for leaf in leaves(error))),
        wait=_wait,
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            await run()
