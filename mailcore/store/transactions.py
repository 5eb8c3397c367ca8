"""What both engines have in common."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import Connection

T = TypeVar("T")


class Transactions:
    """Transactions that a cancelled caller leaves alone to their end: cut off in the middle, a driver's thread may keep
    a connection with an open transaction, and with it SQLite's only write lock."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(
        self, work: Callable[[Connection], T], *, writes: bool, unhurried: bool = False, end: float | None = None
    ) -> T:
        task = asyncio.ensure_future(self._transaction(work, writes, unhurried, end))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _transaction(
        self, work: Callable[[Connection], T], writes: bool, unhurried: bool, end: float | None
    ) -> T:
        raise NotImplementedError

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; if nobody does, it is no news

    async def last_ones(self) -> None:
        """Returns when none is under way any more."""
        if self._running:
            await asyncio.wait(self._running)


# pydantic's encoder takes a third of the time that `json` does, which was a twentieth of what a message costs.
_ANYTHING: Final = TypeAdapter(object)


def _dump_json(value: object) -> str:
    return _ANYTHING.dump_json(value).decode()


# Parameters are people's mail: no error shows them.
OPTIONS: Final[dict[str, Any]] = {
    "hide_parameters": True,
    "json_serializer": _dump_json,
    "json_deserializer": json.loads,
}
"""For SQLAlchemy's engines."""
