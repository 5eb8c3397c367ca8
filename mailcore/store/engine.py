"""The engine: one URL, two databases, the same durability (a commit that returned survives a power cut)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mailcore.errors import SettingsError

# How long SQLite waits for another process's transaction before it says "database is locked".
BUSY_TIMEOUT_MS: Final = 30_000
WRITE: Final = "mozzart_write"


def parse_url(text: str) -> URL:
    """A DATABASE_URL with its asyncio driver named; raises SettingsError, which never shows the URL (it may hold a
    password)."""
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


def is_memory(url: URL) -> bool:
    """Whether the database is SQLite's in memory: one connection, gone with the process."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def make_engine(url: URL) -> AsyncEngine:
    """The engine of one process. Statements never show their parameters in an error: they are people's mail."""
    options: dict[str, Any] = {"hide_parameters": True, "json_serializer": _dump_json, "json_deserializer": json.loads}
    if url.get_backend_name() == "sqlite":
        if not is_memory(url):
            assert url.database is not None
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(url, **options)
        event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
        event.listen(engine.sync_engine, "begin", _on_sqlite_begin)
        return engine
    # pool_pre_ping finds the connections that a restart of PostgreSQL closed; the timeouts keep a dead host from
    # holding us.
    return create_async_engine(
        url,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=4,
        pool_timeout=10,
        connect_args={"timeout": 10, "command_timeout": 120},
        **options,
    )


def _dump_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    # The driver's own BEGIN is late and deferred; ours is in _on_sqlite_begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # First of all: changing to WAL needs a lock that another process may hold.
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once, without the busy timeout, when another process
    # wrote in between (SQLITE_BUSY_SNAPSHOT); so writers take the write lock at the start.
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
