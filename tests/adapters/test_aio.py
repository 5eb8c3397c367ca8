"""The bridge between trio and asyncio: cheap, and fair to trio's own tasks."""

from __future__ import annotations

import asyncio

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
