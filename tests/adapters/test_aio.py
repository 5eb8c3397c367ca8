"""The bridge between trio and asyncio: cheap, and fair to trio's own tasks."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
import trio

from mailcore import aio as bridge
from mailcore.aio import AT_ONCE, aio

pytestmark = pytest.mark.trio


class _Steps(trio.abc.Instrument):
    """How often any task was run."""

    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_callbacks_that_are_ready_run_together_and_leave_trio_its_turns() -> None:
    steps, ran, seen = _Steps(), [], set()

    async def call_often() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in range(1000):
            loop.call_soon(ran.append, number)
        loop.call_soon(ended.set)
        await ended.wait()

    async def watch() -> None:
        while len(ran) < 1000:
            seen.add(len(ran))
            await trio.lowlevel.checkpoint()

    async with bridge.open_loop(), trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        trio.lowlevel.add_instrument(steps)
        await aio(call_often)

    assert ran == list(range(1000))
    assert steps.count < 300, "not one step for each callback"
    assert len(seen) > 1000 // AT_ONCE // 3, "trio orders its tasks by chance"


class _Read:
    """What a thread has read."""


async def test_what_a_thread_has_read_is_freed_at_once_and_not_when_the_collector_comes() -> None:
    left: list[weakref.ref[_Read]] = []

    async def read() -> None:
        for _ in range(3):
            left.append(weakref.ref(await asyncio.to_thread(_Read)))
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    gc.disable()
    try:
        async with bridge.open_loop():
            await aio(read)
            assert [one() for one in left] == [None, None, None]
    finally:
        gc.enable()
