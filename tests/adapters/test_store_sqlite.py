"""SQLite's threads: one visit a transaction, readers beside the writer, nothing left behind."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import pytest_asyncio
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import ProgrammingError

from mailcore.store.engine import Engine, make_engine, parse_url


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = make_engine(parse_url(f"sqlite+aiosqlite:///{tmp_path}/m.db"))
    await engine.run(_sql("CREATE TABLE t (n INTEGER PRIMARY KEY)"), writes=True)
    yield engine
    await engine.close()


def _sql(statement: str) -> Callable[[Connection], list[Any]]:
    def work(connection: Connection) -> list[Any]:
        result = connection.execute(text(statement))
        return list(result.scalars()) if result.returns_rows else []

    return work


def _threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if "_connection_worker_thread" in each.name]


@pytest.mark.asyncio
async def test_a_transaction_is_one_visit_to_its_thread(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    visits = []
    execute = aiosqlite.Connection._execute

    async def counting(self: aiosqlite.Connection, function: Any, *arguments: Any) -> Any:
        visits.append(function)
        return await execute(self, function, *arguments)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counting)

    def work(connection: Connection) -> int:
        for number in range(10):
            connection.execute(text(f"INSERT INTO t VALUES ({number})"))
        return len(connection.execute(text("SELECT n FROM t")).all())

    assert await engine.run(work, writes=True) == 10
    assert len(visits) == 1


@pytest.mark.asyncio
async def test_readers_do_not_wait_for_the_writer(engine: Engine) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        begun.set()
        assert go_on.wait(20)

    writing = asyncio.ensure_future(engine.run(slow, writes=True))
    try:
        await asyncio.to_thread(begun.wait, 20)
        async with asyncio.timeout(10):
            assert await engine.run(_sql("SELECT count(*) FROM t"), writes=False) == [0]
    finally:
        go_on.set()
    await writing
    assert await engine.run(_sql("SELECT count(*) FROM t"), writes=False) == [1]


@pytest.mark.asyncio
async def test_a_failed_transaction_leaves_nothing_and_its_connection_serves_on(engine: Engine) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        raise ValueError("no")

    before = _threads()
    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            await engine.run(fail, writes=True)
    assert await engine.run(_sql("SELECT n FROM t"), writes=False) == []
    assert _threads() == before


@pytest.mark.asyncio
async def test_a_connection_that_broke_is_replaced(engine: Engine) -> None:
    def break_it(connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.close()

    with pytest.raises(ProgrammingError):
        await engine.run(break_it, writes=True)
    await engine.run(_sql("INSERT INTO t VALUES (1)"), writes=True)
    assert await engine.run(_sql("SELECT n FROM t"), writes=False) == [1]


@pytest.mark.asyncio
async def test_a_rollback_that_fails_keeps_no_lock(engine: Engine) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        event.listen(connection.engine, "rollback", refuse, once=True)
        raise ValueError("no")

    def refuse(_: Connection) -> None:
        raise OSError("no rollback")

    with pytest.raises(OSError, match="no rollback"):
        await engine.run(fail, writes=True)
    await engine.run(_sql("INSERT INTO t VALUES (2)"), writes=True)
    assert await engine.run(_sql("SELECT n FROM t"), writes=False) == [2]


@pytest.mark.asyncio
async def test_more_readers_than_connections_take_turns(engine: Engine) -> None:
    before = set(_threads())  # of this engine, and of whatever another test that failed has left
    found = await asyncio.gather(*(engine.run(_sql("SELECT count(*) FROM t"), writes=False) for _ in range(100)))
    assert found == [[0]] * 100
    assert 0 < len(set(_threads()) - before) <= 15


@pytest.mark.asyncio
async def test_closing_ends_every_thread(tmp_path: Path) -> None:
    before = set(_threads())
    for url in ("sqlite+aiosqlite://", f"sqlite+aiosqlite:///{tmp_path}/other.db"):
        engine = make_engine(parse_url(url))
        await asyncio.gather(*(engine.run(_sql("SELECT 1"), writes=False) for _ in range(5)))
        started = set(_threads()) - before
        assert started
        await engine.close()
        for thread in started:
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.asyncio
async def test_in_memory_all_see_one_database() -> None:
    engine = make_engine(parse_url("sqlite+aiosqlite://"))
    await engine.run(_sql("CREATE TABLE t (n INTEGER PRIMARY KEY)"), writes=True)
    found = await asyncio.gather(*(engine.run(_sql("SELECT count(*) FROM t"), writes=False) for _ in range(5)))
    assert found == [[0]] * 5
    await engine.close()
