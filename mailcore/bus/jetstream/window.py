"""A bound on what is under way: a number of messages and a number of bytes, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Window:
    """A single message larger than `size` goes alone."""

    def __init__(self, count: int, size: int) -> None:
        self._count = count
        self._size = size
        self._used_count = 0
        self._used_size = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> tuple[int, int]:
        """Messages and bytes under way."""
        return self._used_count, self._used_size

    async def take(self, size: int) -> None:
        """Wait for a place for `size` bytes; `give` it back."""
        if not self._queue and self._fits(size):
            self._enter(size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled in the same moment
                self.give(size)
            else:
                with suppress(ValueError):  # it has been passed over already
                    self._queue.remove((size, turn))
                self._let_in()
            raise

    def give(self, size: int) -> None:
        self._used_count -= 1
        self._used_size -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            size, turn = self._queue.popleft()
            if not turn.done():
                self._enter(size)
                turn.set_result(None)

    def _enter(self, size: int) -> None:
        self._used_count += 1
        self._used_size += size

    def _fits(self, size: int) -> bool:
        if not self._used_count:
            return True
        return self._used_count < self._count and self._used_size + size <= self._size
