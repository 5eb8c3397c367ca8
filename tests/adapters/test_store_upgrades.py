"""An upgrade while processes of the version before run: nothing is lost, nothing is doubled, nobody is stopped."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from mailcore.errors import StoreError
from mailcore.store import MessageFilter, Store, migration
from mailcore.store.engine import make_engine, parse_url
from mailcore.store.postgres import COMMAND_TIMEOUT, STATEMENT_TIMEOUT
from tests.support.consumers import until
from tests.support.first_version import FirstConsumer
from tests.support.stores import KEY, message_row, query

T = TypeVar("T")

# What a release took away, by revision: tables and `table.column`s, each one unused since the release before.
CONTRACTED: Final[dict[str, set[str]]] = {}

REVISIONS = migration.revisions()


async def on(url: str, work: Callable[[Connection], T], *, writes: bool = True) -> T:
    engine = make_engine(parse_url(url))
    try:
        return await engine.run(work, writes=writes)
    finally:
        await engine.close()


def shape(connection: Connection) -> dict[str, dict[str, Any]]:
    """By table: its columns, and what may refuse a row."""
    found = inspect(connection)
    tables = [name for name in found.get_table_names() if name.startswith("mailbox_app_") and "search" not in name]
    return {
        table: {
            "columns": {column["name"]: column for column in found.get_columns(table)},
            "constraints": {
                *(("unique", tuple(one["column_names"])) for one in found.get_unique_constraints(table)),
                *(("unique", tuple(one["column_names"])) for one in found.get_indexes(table) if one["unique"]),
                *(("foreign", tuple(one["constrained_columns"])) for one in found.get_foreign_keys(table)),
                *(("check", str(one["sqltext"])) for one in found.get_check_constraints(table)),
            },
        }
        for table in tables
    }


# It is no constraint, and SQLAlchemy cannot say more of it.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index mailbox_app_mailmessage_t")
@pytest.mark.parametrize(("before", "after"), list(pairwise(REVISIONS)))
@pytest.mark.asyncio
async def test_a_migration_only_adds_what_the_version_before_need_not_know(
    store_url: str, before: str, after: str
) -> None:
    await on(store_url, lambda connection: migration.upgrade(connection, before))
    old = await on(store_url, shape)
    await on(store_url, lambda connection: migration.upgrade(connection, after))
    new = await on(store_url, shape)
    gone = CONTRACTED.get(after, set())
    assert old.keys() - new.keys() <= gone
    for table in old.keys() & new.keys():
        was, is_now = old[table]["columns"], new[table]["columns"]
        assert {f"{table}.{name}" for name in was.keys() - is_now.keys()} <= gone
        for name in was.keys() & is_now.keys():
            assert str(is_now[name]["type"]) == str(was[name]["type"]), f"{table}.{name} changed its type"
            assert is_now[name]["nullable"] or not was[name]["nullable"], f"{table}.{name} became NOT NULL"
        for name in is_now.keys() - was.keys():
            harmless = is_now[name]["nullable"] or is_now[name]["default"] is not None
            assert harmless, f"{table}.{name} is NOT NULL without a default: an INSERT that does not know it fails"
        assert new[table]["constraints"] <= old[table]["constraints"], f"{table}: a new constraint may refuse its rows"


@pytest.mark.asyncio
async def test_an_upgrade_while_a_consumer_of_the_first_version_stores_loses_and_doubles_nothing(
    store_url: str,
) -> None:
    await on(store_url, lambda connection: migration.upgrade(connection, "0001"))
    async with FirstConsumer(store_url) as consumer, asyncio.TaskGroup() as group:
        await consumer.fill(600, "Grüße aus der ersten Fassung " * 40)
        storing = group.create_task(consumer.run())
        await until(lambda: asyncio.sleep(0, len(consumer.spans) > 20), "it stores")
        store = await Store.open(store_url)
        began = time.monotonic()
        await store.upgrade()
        ended = time.monotonic()
        upgraded_at = consumer.next_uid
        await until(lambda: asyncio.sleep(0, consumer.next_uid > upgraded_at + 20), "it goes on storing")
        consumer.stop()
        await storing

        during = [uid for uid, (first, last) in consumer.spans.items() if first < ended and last > began]
        assert during, "nothing was stored while the upgrade ran: this test shows nothing"
        sent = list(range(1, consumer.next_uid))
        assert await consumer.stored_uids() == sent
        await store.check()
        assert await store.lacking() == []
        assert await store.stored_uids(consumer.mailbox_id, 7) == sent
        for table, column in (("mailmessage", "uid"), ("mailattachment", "message_id")):
            (counts,) = await query(store_url, f"SELECT count(*), count(DISTINCT {column}) FROM mailbox_app_{table}")
            assert counts == (len(sent), len(sent))
        # Also what the old one stored meanwhile is found by its words; and both write side by side.
        for uid in (1, 600, during[0], sent[-1]):
            found = await store.list_messages(MessageFilter(query=f'"mail {uid}"'))
            assert [each.uid for each in found.messages] == [uid]
        await store.insert_messages([message_row(consumer.mailbox_id, len(sent) + 1)])
        await consumer.expunge(3)
        assert await store.stored_uids(consumer.mailbox_id, 7) == [*sent[:2], *sent[3:], len(sent) + 1]
        await store.close()


@pytest.mark.asyncio
async def test_tables_of_a_later_version_are_left_alone_and_used(store: Store, store_url: str) -> None:
    await query(store_url, "UPDATE alembic_version SET version_num = '9999'")
    await query(store_url, "ALTER TABLE mailbox_app_mailmessage ADD COLUMN of_the_future TEXT")
    await store.upgrade()
    await store.check()
    assert await store.current() == "9999"
    mailbox = await store.save_mailbox(KEY, uidvalidity=7)
    await store.insert_messages([message_row(mailbox.id, 1)])
    assert await store.stored_uids(mailbox.id, 7) == [1]


@pytest.mark.asyncio
async def test_what_is_missing_is_named(store: Store, store_url: str) -> None:
    await query(store_url, "ALTER TABLE mailbox_app_mailmessage DROP COLUMN found_by")
    await query(store_url, "DROP TABLE mailbox_app_mailformeridentity")
    assert set(await store.lacking()) == {"mailbox_app_mailmessage.found_by", "mailbox_app_mailformeridentity"}


@pytest.mark.asyncio
async def test_statements_on_postgresql_have_bounds_and_those_of_a_migration_have_none(postgres_url: str) -> None:
    engine = make_engine(parse_url(postgres_url))

    def bounds(connection: Connection) -> tuple[Any, ...]:
        names = ("statement_timeout", "idle_in_transaction_session_timeout", "application_name")
        return tuple(connection.execute(text(f"SHOW {name}")).scalar_one() for name in names)

    assert await engine.run(bounds, writes=False) == ("110s", "1min", "mozzart")
    assert await engine.run(bounds, writes=True, unhurried=True) == ("0", "0", "mozzart")
    assert STATEMENT_TIMEOUT < COMMAND_TIMEOUT
    await engine.close()


@pytest.mark.asyncio
async def test_an_upgrade_does_not_wait_for_ever_behind_a_long_query(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "_LOCK_TIMEOUT", 1)
    await on(postgres_url, lambda connection: migration.upgrade(connection, "0001"))
    holding, done = asyncio.Event(), asyncio.Event()

    async def pg_dump() -> None:
        engine = make_engine(parse_url(postgres_url))
        async with engine._engine.begin() as connection:  # type: ignore[attr-defined]
            await connection.execute(text("SELECT count(*) FROM mailbox_app_mailmessage"))
            holding.set()
            await done.wait()
        await engine.close()

    store = await Store.open(postgres_url)
    async with asyncio.TaskGroup() as group:
        group.create_task(pg_dump())
        await holding.wait()
        with pytest.raises(StoreError, match="another session holds our tables"):
            await store.upgrade()
        done.set()
    await store.upgrade()
    await store.check()
    await store.close()


def test_the_revisions_that_we_name_are_those_of_alembic() -> None:
    scripts = ScriptDirectory(str(Path(migration.__file__).parent / "migrations"))
    assert migration.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_who_has_nothing_to_upgrade_does_without_alembic(store_url: str) -> None:
    script = (
        "import asyncio, sys\n"
        "from mailcore.store import Store\n"
        "async def main():\n"
        f"    store = await Store.open({store_url!r})\n"
        "    await store.upgrade()\n"
        "    await store.check()\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    said = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["True\n", "False\n"]
