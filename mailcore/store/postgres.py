"""PostgreSQL, over asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from mailcore.store.transactions import OPTIONS, Transactions

T = TypeVar("T")

# For one process: connections that are kept and that may come on top; seconds, each of which bounds what a
# dead host or a frozen process may hold. docs/operations.md tells them, and a test holds it to them.
POOL_SIZE: Final = 4
POOL_OVERFLOW: Final = 4
POOL_TIMEOUT: Final = 10
CONNECT_TIMEOUT: Final = 10
# The server's comes first: its answer is an error that leaves the connection whole.
STATEMENT_TIMEOUT: Final = 110
COMMAND_TIMEOUT: Final = 120
# Where a patience is given, the server's bound is that and a little more: a process that is frozen cancels nothing.
GRACE: Final = 1
IDLE_IN_TRANSACTION_TIMEOUT: Final = 60


class Postgres(Transactions):
    name = "postgresql"

    def __init__(self, url: URL, patience: float | None = None) -> None:
        super().__init__()
        statement = STATEMENT_TIMEOUT if patience is None else min(patience + GRACE, STATEMENT_TIMEOUT)
        # pool_pre_ping finds the connections that a restart of the server closed.
        limits = {
            "statement_timeout": f"{int(statement * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT}s",
        }
        self._engine = create_async_engine(
            url,
            pool_pre_ping=True,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_TIMEOUT,
            connect_args={"command_timeout": COMMAND_TIMEOUT, **_connecting(limits)},
            **OPTIONS,
        )
        # Explicitly none, also where the server's own configuration sets some.
        unlimited = dict.fromkeys(limits, "0")
        self._unhurried = create_async_engine(url, poolclass=NullPool, connect_args=_connecting(unlimited), **OPTIONS)

    async def _transaction(
        self, work: Callable[[Connection], T], writes: bool, unhurried: bool, end: float | None
    ) -> T:
        # Cancelled, asyncpg asks the server to end the statement: who has given up holds no connection and no lock.
        async with (
            asyncio.timeout_at(end),
            (self._unhurried if unhurried else self._engine).begin() as connection,
        ):
            return await connection.run_sync(work)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """On a connection of its own, with whose end the server gives it to somebody else."""
        async with self._unhurried.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(
                text("SELECT pg_advisory_lock(hashtextextended(:name, 0))"), {"name": f"mozzart {name}"}
            )
            yield

    async def close(self) -> None:
        await self.last_ones()
        await self._engine.dispose()


def _connecting(limits: dict[str, str]) -> dict[str, Any]:
    return {"timeout": CONNECT_TIMEOUT, "server_settings": {"application_name": "mozzart", **limits}}
