from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailcore.bus.jetstream.window import Window


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(work)


visits = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2), st.booleans()), min_size=1, max_size=20)


@given(visits, st.integers(1, 5), st.integers(1, 20))
def test_no_bound_is_passed_and_everybody_gets_through(
    visits: list[tuple[int, int, bool]], count: int, size: int
) -> None:
    """A visit: its size, how long it stays, whether it is cancelled."""

    async def scenario() -> None:
        window = Window(count, size)
        inside: list[int] = []

        async def visit(mine: int, stay: int) -> None:
            await window.take(mine)
            inside.append(mine)
            try:
                assert len(inside) <= count
                assert sum(inside) <= size or len(inside) == 1
                for _ in range(stay):
                    await asyncio.sleep(0)
            finally:
                inside.remove(mine)
                window.give(mine)

        tasks = [(asyncio.ensure_future(visit(mine, stay)), cancel) for mine, stay, cancel in visits]
        for task, cancel in tasks:
            if cancel:
                await asyncio.sleep(0)
                task.cancel()
        for result in await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError)
        assert window.used == (0, 0)

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await scenario()

    run(bounded())


def test_a_cancelled_waiter_leaves_its_turn_to_the_next() -> None:
    async def scenario() -> None:
        window = Window(1, 10)
        await window.take(1)
        waiting = [asyncio.ensure_future(window.take(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        window.give(1)  # lets in the second, as the first is on its way out
        await asyncio.wait({waiting[0]})
        async with asyncio.timeout(1):
            await waiting[1]
        assert window.used == (1, 1)
        waiting[2].cancel()
        await asyncio.wait({waiting[2]})
        window.give(1)
        assert window.used == (0, 0)

    run(scenario())


def test_one_let_in_and_cancelled_in_the_same_moment_gives_its_place_back() -> None:
    async def scenario() -> None:
        window = Window(1, 10)
        await window.take(1)
        waiting = asyncio.ensure_future(window.take(1))
        await asyncio.sleep(0)
        window.give(1)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert window.used == (0, 0)

    run(scenario())
