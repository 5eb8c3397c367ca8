"""The engine: one URL, two databases, the same durability (a commit that returned survives a power cut).

Statements are written once, as functions of a synchronous `Connection`; SQLAlchemy runs them over aiosqlite or asyncpg.
aiosqlite crosses to its thread for every call on a cursor, some thirty times in a small transaction: few statements
with many rows are quick, many statements are not.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import URL, Connection, NullPool, StaticPool, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from mailcore.errors import SettingsError

T = TypeVar("T")

# How long SQLite waits for another process's transaction before it says "database is locked".
_BUSY_TIMEOUT_MS: Final = 30_000
_WRITES: Final = "mozzart_writes"

# PostgreSQL, for one process: connections that are kept and that may come on top; seconds, each of which bounds what a
# dead host or a frozen process may hold. docs/operations.md tells them, and a test holds it to them.
POOL_SIZE: Final = 4
POOL_OVERFLOW: Final = 4
POOL_TIMEOUT: Final = 10
CONNECT_TIMEOUT: Final = 10
# The server's comes first: its answer is an error that leaves the connection whole.
STATEMENT_TIMEOUT: Final = 110
COMMAND_TIMEOUT: Final = 120
IDLE_IN_TRANSACTION_TIMEOUT: Final = 60


class Engine(Protocol):
    """Where transactions are run."""

    name: str

    async def run(self, work: Callable[[Connection], T], *, writes: bool, unhurried: bool = False) -> T:
        """`work` in one transaction, committed when it returns, rolled back when it raises. Cancelled, it may have been
        committed all the same. `unhurried`: its statements may take as long as they need (migrations of large
        tables)."""

    async def close(self) -> None: ...


def parse_url(text: str) -> URL:
    """A DATABASE_URL; raises SettingsError, which never shows it (it may hold a password)."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise SettingsError(
            "DATABASE_URL is not a database URL; write sqlite+aiosqlite:///data/mozzart.db or "
            "postgresql+asyncpg://user:password@host/database"
        ) from None
    backend = url.get_backend_name()
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}.get(
        backend
    )
    if driver is None:
        raise SettingsError(f"DATABASE_URL names {backend!r}; only sqlite and postgresql are supported")
    return url.set(drivername=driver)


def make_engine(url: URL) -> Engine:
    """For one process. Connects to nothing yet."""
    return _Sqlite(url) if url.get_backend_name() == "sqlite" else _Postgres(url)


class _Engine:
    """Transactions that a cancelled caller leaves alone to their end: cut off in the middle, a driver's thread may keep
    a connection with an open transaction, and with it SQLite's only write lock."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Callable[[Connection], T], *, writes: bool, unhurried: bool = False) -> T:
        task = asyncio.ensure_future(self._transaction(work, writes, unhurried))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _transaction(self, work: Callable[[Connection], T], writes: bool, unhurried: bool) -> T:
        raise NotImplementedError

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; if nobody does, it is no news

    async def _last_ones(self) -> None:
        if self._running:
            await asyncio.wait(self._running)


class _Sqlite(_Engine):
    name = "sqlite"

    def __init__(self, url: URL) -> None:
        super().__init__()
        in_memory = url.database in (None, "", ":memory:")
        if not in_memory:
            assert url.database is not None
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_async_engine(url, **({"poolclass": StaticPool} if in_memory else {}), **_options())
        event.listen(self._engine.sync_engine, "connect", _on_connect)
        event.listen(self._engine.sync_engine, "begin", _on_begin)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        # SQLite has one writer: a queue in here is fairer and quicker than its busy timeout. In memory there is but one
        # connection, so there readers stand in the same queue.
        self._writer = asyncio.Lock()
        self._reader = self._writer if in_memory else nullcontext()

    async def _transaction(self, work: Callable[[Connection], T], writes: bool, unhurried: bool) -> T:
        engine, turn = (self._writing, self._writer) if writes else (self._engine, self._reader)
        async with turn, engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._last_ones()
        await self._engine.dispose()


class _Postgres(_Engine):
    name = "postgresql"

    def __init__(self, url: URL) -> None:
        super().__init__()
        # pool_pre_ping finds the connections that a restart of the server closed.
        limits = {
            "statement_timeout": f"{STATEMENT_TIMEOUT}s",
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT}s",
        }
        self._engine = create_async_engine(
            url,
            pool_pre_ping=True,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_TIMEOUT,
            connect_args={"command_timeout": COMMAND_TIMEOUT, **_connecting(limits)},
            **_options(),
        )
        # Explicitly none, also where the server's own configuration sets some.
        unlimited = dict.fromkeys(limits, "0")
        self._unhurried = create_async_engine(
            url, poolclass=NullPool, connect_args=_connecting(unlimited), **_options()
        )

    async def _transaction(self, work: Callable[[Connection], T], writes: bool, unhurried: bool) -> T:
        async with (self._unhurried if unhurried else self._engine).begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._last_ones()
        await self._engine.dispose()


def _connecting(limits: dict[str, str]) -> dict[str, Any]:
    return {"timeout": CONNECT_TIMEOUT, "server_settings": {"application_name": "mozzart", **limits}}


def _options() -> dict[str, Any]:
    # Parameters are people's mail: no error shows them.
    return {"hide_parameters": True, "json_serializer": _dump_json, "json_deserializer": json.loads}


# pydantic's encoder takes a third of the time that `json` does, which was a twentieth of what a message costs.
_ANYTHING: Final = TypeAdapter(object)


def _dump_json(value: object) -> str:
    return _ANYTHING.dump_json(value).decode()


def _on_connect(connection: Any, _record: object) -> None:
    # The driver's own BEGIN is late and deferred; ours is in _on_begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # First of all: changing to WAL needs a lock that another process may hold.
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        _change_to_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _change_to_wal(cursor: Any) -> None:
    # Two processes that open a new database at once would wait for each other; then SQLite fails one of them without
    # the busy timeout. A moment later the other one has made the change, which is for good.
    for pause in (0.01, 0.03, 0.1, 0.3, 1.0):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            time.sleep(pause)
        else:
            return
    cursor.execute("PRAGMA journal_mode = WAL")


def _on_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once, without the busy timeout, when another process
    # wrote in between (SQLITE_BUSY_SNAPSHOT); so writers take the write lock at the start. A reader needs no
    # transaction: each SELECT sees one state.
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
