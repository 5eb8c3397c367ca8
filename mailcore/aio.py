"""The only module that imports trio_asyncio: how trio code calls asyncio code.

Rules (measured, see docs/design.md): cross once per unit of work; never hold an asyncio context manager across the
boundary; the loop has an exception handler of ours, because trio-asyncio's own ends the loop for one stray future;
a library's own CancelledError becomes an Exception here, because as a BaseException it would cancel its siblings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import structlog
import trio
import trio_asyncio

from mailcore.errors import MozzartError

AT_ONCE = 64  # callbacks that run before trio's own tasks have their turn
log = structlog.get_logger(__name__)
T = TypeVar("T")
Args = TypeVarTuple("Args")


class LibraryCancelled(MozzartError):
    """An asyncio library cancelled its own task: the operation did not happen as far as we know."""


@asynccontextmanager
async def open_loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """An asyncio loop inside trio for the time of the block."""
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_stray)
        loop._main_loop_one = partial(_run_ready, loop._main_loop_one)
        loop.trio_as_future = partial(_as_future, loop.trio_as_future)
        yield loop


def _as_future(begin: Callable[..., asyncio.Future[T]], *args: Any) -> asyncio.Future[T]:
    """trio-asyncio gives the future a `cancel` which holds that future, so what a thread has read (all of a large mail,
    part by part) would stay in memory until the collector looks at what is old, which is hours."""
    future = begin(*args)
    future.add_done_callback(_untie)
    return future


def _untie(future: asyncio.Future[Any]) -> None:
    del future.cancel  # that of its class is left


async def _run_ready(run_one: Callable[..., Awaitable[None]], no_wait: bool = False) -> None:
    """A part of trio-asyncio's main loop. Its own runs one callback each time around trio's scheduler, each in a cancel
    scope of its own: half of the processor time of connections that talk little."""
    if no_wait:  # at the end
        await run_one(no_wait=True)
        return
    try:
        for _ in range(AT_ONCE):
            await run_one(no_wait=True)
    except trio.WouldBlock:  # nothing is ready
        await run_one()
    else:
        await trio.lowlevel.cancel_shielded_checkpoint()


async def aio(function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """One crossing (50–60 µs): run `function(*args)` on the asyncio side. A trio cancellation cancels it."""
    try:
        result: T = await trio_asyncio.aio_as_trio(function)(*args)
    except asyncio.CancelledError as error:
        await trio.lowlevel.checkpoint_if_cancelled()
        name = getattr(function, "__qualname__", repr(function))
        raise LibraryCancelled(f"{name} was cancelled by its own library") from error
    return result


async def aio_bounded(seconds: float, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T | None:
    """For clean-up: shielded from cancellation, bounded in time, and an error is logged instead of raised (R5)."""
    with trio.move_on_after(seconds, shield=True):
        try:
            return await aio(function, *args)
        except (MozzartError, OSError) as error:
            log.debug("clean-up failed", what=getattr(function, "__qualname__", ""), error=str(error))
    return None


def _log_stray(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.error("stray error in the event loop", what=context.get("message", ""), error=repr(error))


async def trio_side(function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """The other way: asyncio code (a request that came over NATS) waits for trio code."""
    result: T = await trio_asyncio.trio_as_aio(function)(*args)
    return result
