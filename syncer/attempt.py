"""Try again, with the pause that the error's scope × retry asks for. tenacity counts; trio sleeps."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog
import tenacity
import trio

from mailcore.errors import Retry
from mailcore.sync.retry import Verdict, errors_alone, pause, verdict

log = structlog.get_logger(__name__)


def judge(error: BaseException, what: str) -> Verdict:
    """What the error stops and when to try again. An unknown exception is a bug of ours: it is logged with its
    traceback and tried again slowly, so that it stops nobody else."""
    found = verdict(error)
    if found.known:
        return found
    log.error("unexpected error", what=what, exc_info=error)
    return replace(found, retry=Retry.NEVER)


async def keep_trying(
    what: str,
    run: Callable[[], Awaitable[None]],
    failed: Callable[[str, float], None],
    sleep: Callable[[float], Awaitable[None]] = trio.sleep,
) -> None:
    """Run `run` until it returns. After each error `failed(text, seconds until the next attempt)` is told. `sleep` may
    return early when somebody asks. Cancellation passes through."""
    found: list[Verdict] = []  # of the last attempt

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            raise AssertionError("tenacity waits only after a failure")
        found[:] = [judge(error, what)]
        return pause(state.attempt_number, found[0], random.random)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        failed(found[0].text, state.next_action.sleep if state.next_action else 0.0)

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(errors_alone),
        wait=wait,
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            await run()
