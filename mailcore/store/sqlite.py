"""SQLite. A transaction is one visit to a thread of aiosqlite's.

SQLAlchemy's own way over aiosqlite goes to the thread and back for every call on a cursor, some twenty times in a small
transaction, and in a busy process each of these crossings waits for the interpreter's lock: storing a batch took twice
as long. aiosqlite is pinned to one minor version for the private names used here.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiosqlite
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

from mailcore.errors import SettingsError
from mailcore.store.failure import values_refused
from mailcore.store.parts import folded
from mailcore.store.transactions import OPTIONS, Transactions

T = TypeVar("T")

# How long SQLite waits for another process's transaction before it says "database is locked".
_BUSY_TIMEOUT_MS: Final = 30_000
# Threads, each with a connection, made as they are needed: one writes, the others read beside each other.
_CONNECTIONS: Final = 15
_LOOK: Final = 0.05  # seconds between two looks at a lock that another process has


class Sqlite(Transactions):
    name = "sqlite"

    def __init__(self, url: URL) -> None:
        super().__init__()
        in_memory = url.database in (None, "", ":memory:")
        if not in_memory:
            assert url.database is not None
            try:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(
                    f"The directory of the database {url.database} cannot be used ({error.strerror}); make it writable "
                    "for this user, or set another DATABASE_URL or DATA_DIR."
                ) from None
        self._locks = None if in_memory else Path(str(url.database)).parent / "locks"
        self._turns: dict[str, asyncio.Lock] = {}
        self._engine = create_engine(url.set(drivername="sqlite"), poolclass=NullPool, **OPTIONS)
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "handle_error", values_refused, retval=True)
        # SQLite has one writer: a queue in here is fairer and quicker than its busy timeout.
        self._writer = asyncio.Lock()
        # In memory each connection is a database of its own, so there is but one.
        self._room = asyncio.Semaphore(1 if in_memory else _CONNECTIONS)
        self._idle: list[_Thread] = []

    async def _transaction(
        self, work: Callable[[Connection], T], writes: bool, unhurried: bool, end: float | None
    ) -> T:
        # Nothing ends a thread that waits for SQLite's lock before its busy timeout; readers wait for nobody's.
        async with self._writer if writes else nullcontext(), self._thread() as thread:
            return await thread.run(work, writes)

    @asynccontextmanager
    async def _thread(self) -> AsyncIterator[_Thread]:
        async with self._room:
            thread = self._idle.pop() if self._idle else await _Thread.start(self._engine)
            try:
                yield thread
            finally:
                self._idle.append(thread)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """On a file beside the database, which stays: SQLite has no lock that is not one of all its tables."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            if self._locks is None:
                yield
                return
            self._locks.mkdir(mode=0o700, exist_ok=True)
            file = os.open(self._locks / hashlib.sha256(name.encode()).hexdigest()[:24], os.O_RDWR | os.O_CREAT, 0o600)
            try:
                while not _locked(file):  # noqa: ASYNC110  # of another process
                    await asyncio.sleep(_LOOK)
                yield
            finally:
                os.close(file)

    async def close(self) -> None:
        await self.last_ones()
        while self._idle:
            await self._idle.pop().end()


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Thread:
    """One connection, and the thread of aiosqlite's in which alone it is used, for one task at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection
        self._driver = aiosqlite.Connection(self._connect, 64)
        # A process that ends without `close` is not to wait for it.
        self._driver._thread.daemon = True

    @classmethod
    async def start(cls, engine: Engine) -> Self:
        thread = cls(engine)
        await thread._driver
        return thread

    def _connect(self) -> sqlite3.Connection:
        self._connection = self._engine.connect()
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw

    async def run(self, work: Callable[[Connection], T], writes: bool) -> T:
        result: T = await self._driver._execute(self._run, work, writes)  # type: ignore[no-untyped-call]
        return result

    def _run(self, work: Callable[[Connection], T], writes: bool) -> T:
        try:
            with self._connection.begin():
                # A transaction that reads first and writes later fails at once, without the busy timeout, when another
                # process wrote in between (SQLITE_BUSY_SNAPSHOT); so writers take the write lock at the start. A
                # reader needs no transaction: each SELECT sees one state.
                if writes:
                    self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                return work(self._connection)
        except Exception:
            # Whatever it was, it goes on to the caller. If the rollback failed, too: closing the connection ends what
            # would keep the write lock for ever. The next transaction opens another one.
            if self._connection.connection.in_transaction:
                self._connection.invalidate()
            raise

    async def end(self) -> None:
        try:
            await self._driver._execute(self._connection.close)  # type: ignore[no-untyped-call]
        finally:
            await self._driver.close()


def _on_connect(connection: Any, _record: object) -> None:
    # The driver's own BEGIN is late and deferred.
    connection.isolation_level = None
    # As PostgreSQL has it by migration 0002; triggers do not use it, as other programs write, too.
    connection.create_function("mailbox_app_fold", 1, folded, deterministic=True)
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
