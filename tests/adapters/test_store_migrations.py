"""Alembic on both databases."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select

from mailcore.errors import SettingsError, StoreError
from mailcore.imap.flag import ANSWERED, FLAGGED, SEEN
from mailcore.store import MessageFilter, Store, migration, search, threads
from mailcore.store.engine import make_engine, parse_url
from mailcore.store.schema import has_flag, messages, metadata
from tests.support.stores import KEY, message_row, query

_UPGRADE = """
import asyncio, sys
from mailcore.store import Store

async def main():
    store = await Store.open(sys.argv[1])
    await store.upgrade()
    await store.check()
    await store.close()

asyncio.run(main())
"""

# As a consumer of the first version writes it: UID, whether it has attachments, subject.
OLD_MESSAGE = (
    "INSERT INTO mailbox_app_mailmessage(mailbox_id, uidvalidity, uid, size, sha256, has_attachments, received_at,"
    " stored_at, message_id, subject, from_name, from_email, to_emails, cc_emails, reply_to, in_reply_to,"
    " references_ids, flags, defects, headers, body_text, body_html)"
    " VALUES (1, 7, %d, 1, '', %s, '2024-05-06 07:08:09', '2024-05-06 07:08:09', '', '%s', '', '', '[]', '[]', '[]',"
    " '', '[]', '[]', '[]', '[]', '', '')"
)


@pytest.mark.asyncio
async def test_processes_that_upgrade_at_the_same_time_all_succeed(store_url: str) -> None:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", _UPGRADE, store_url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    for process in started:
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


@pytest.mark.asyncio
async def test_upgrades_that_overlap_wait_for_each_other(store_url: str) -> None:
    stores = [await Store.open(store_url) for _ in range(6)]
    await asyncio.gather(*(store.upgrade() for store in stores))
    for store in stores:
        await store.check()
        await store.close()


@pytest.mark.asyncio
async def test_upgrading_twice_changes_nothing(store: Store) -> None:
    before = await store.current()
    await store.save_mailbox(KEY, uidvalidity=7)
    await store.upgrade()
    assert await store.current() == before
    assert len(await store.mailbox_states()) == 1


# What SQLAlchemy cannot say of an index on an expression, as those of threads and subjects are, is not what is asked.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index mailbox_app_mailmessage_")
@pytest.mark.asyncio
async def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store, store_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        # SQLite tells of the default of an id in its own way.
        options: dict[str, Any] = {
            "compare_type": True,
            "compare_server_default": connection.dialect.name != "sqlite",
            # Search, subjects and threads have what is each database's own affair: no code declares it.
            "include_name": lambda name, _, __: (
                not str(name).startswith((search.NAME, search.SUBJECT_INDEX, threads.INDEX))
            ),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = make_engine(parse_url(store_url))
    try:
        assert await engine.run(differences, writes=False) == []
    finally:
        await engine.close()


@pytest.mark.asyncio
async def test_a_consumer_of_the_version_before_goes_on_after_the_upgrade(store_url: str) -> None:
    engine = make_engine(parse_url(store_url))
    await engine.run(lambda connection: migration.upgrade(connection, "0001"), writes=True)
    await query(store_url, "INSERT INTO mailbox_app_mailboxstate(account, mailbox) VALUES ('default', 'INBOX')")
    await query(store_url, OLD_MESSAGE % (1, "FALSE", "vorher"))
    store = await Store.open(store_url)
    with pytest.raises(StoreError, match="mozzart db upgrade"):
        await store.check()
    await store.upgrade()
    await query(store_url, OLD_MESSAGE % (2, "TRUE", "nachher"))
    for typed, uid in (("vorher", 1), ("nachher", 2)):
        page = await store.list_messages(MessageFilter(query=typed))
        assert [each.uid for each in page.messages] == [uid]
    await store.close()
    await engine.close()


@pytest.mark.asyncio
async def test_what_was_stored_before_the_beginnings_of_words_is_found_by_them(store_url: str) -> None:
    engine = make_engine(parse_url(store_url))
    await engine.run(lambda connection: migration.upgrade(connection, "0002"), writes=True)
    store = await Store.open(store_url)
    await query(store_url, "INSERT INTO mailbox_app_mailboxstate(account, mailbox) VALUES ('default', 'INBOX')")
    for uid in (1, 2):
        await query(store_url, OLD_MESSAGE % (uid, "FALSE", f"vorher{uid}"))
    await store.upgrade()
    await store.insert_messages([message_row(1, 3, subject="vorher3")])
    await query(store_url, "DELETE FROM mailbox_app_mailattachment WHERE message_id = 2")
    await query(store_url, "DELETE FROM mailbox_app_mailmessage WHERE uid = 2")

    for typed, uids in (("vo*", [1, 3]), ("vorher1", [1]), ("vorher2", []), ("vorher*", [1, 3])):
        page = await store.list_messages(MessageFilter(query=typed))
        assert sorted(each.uid for each in page.messages) == uids, typed
    await store.close()
    await engine.close()


@pytest.mark.asyncio
async def test_a_database_without_tables_is_told_what_to_do(store_url: str) -> None:
    store = await Store.open(store_url)
    assert await store.current() is None
    for attempt in (store.check(), store.mailbox_states()):
        with pytest.raises(StoreError, match="mozzart db upgrade"):
            await attempt
    await store.close()


@pytest.mark.asyncio
async def test_the_commits_on_sqlite_survive_a_power_cut(tmp_path: Path) -> None:
    engine = make_engine(parse_url(f"sqlite+aiosqlite:///{tmp_path}/m.db"))

    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    full = 2
    assert await engine.run(pragmas, writes=True) == ["wal", full, 1]
    await engine.close()


@pytest.mark.asyncio
async def test_times_and_lists_on_sqlite_are_as_django_writes_them(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/m.db")
    await store.upgrade()
    mailbox = await store.save_mailbox(KEY)
    await store.insert_messages([message_row(mailbox.id, 1, to_emails=("a@b.example",))])
    with sqlite3.connect(tmp_path / "m.db") as connection:
        row = connection.execute(
            "SELECT received_at, to_emails, has_attachments, references_ids FROM mailbox_app_mailmessage"
        ).fetchone()
    connection.close()
    assert row == ("2024-05-06 07:08:09.123456", '["a@b.example"]', 1, "[]")
    await store.close()


@pytest.mark.asyncio
async def test_times_on_postgresql_carry_their_zone(postgres_url: str) -> None:
    store = await Store.open(postgres_url)
    await store.upgrade()
    await store.close()
    found = await query(
        postgres_url,
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'mailbox_app_mailmessage'"
        " AND (column_name LIKE '%\\_at' OR column_name IN ('id', 'uid', 'headers')) ORDER BY 1",
    )
    zoned = "timestamp with time zone"
    assert dict(found) == {
        "expunged_at": zoned,
        "flags_at": zoned,
        "headers": "jsonb",
        "id": "bigint",
        "pruned_at": zoned,
        "published_at": zoned,
        "pushed_at": zoned,
        "received_at": zoned,
        "sent_at": zoned,
        "stored_at": zoned,
        "uid": "bigint",
    }


@pytest.mark.parametrize("url", ["", "mysql://user:hunter2@host/x", "hunter2", "sqlite"])
def test_a_wrong_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_store_does_not_show_its_password() -> None:
    store = await Store.open("postgresql+asyncpg://user:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in repr(store)
    with pytest.raises(StoreError) as caught:
        await store.mailbox_states()
    assert "hunter2" not in repr(caught.value)
    await store.close()


@pytest.mark.asyncio
async def test_text_is_folded_to_the_same_words_as_before_and_compressed_quicker(postgres_url: str) -> None:
    texts = [
        "Grüße, (Käse)\t\tund\r\n\x0b\x0c Đorđe; Жарко 会議 «x» a-b_c/d@e.f 1.5e3 -7 ÅNGSTRÖM\u2003İx",
        "ＡＢＣ ไทย 한국어\x01\x7f!",
        "plain words, and\nlines\x1fof ASCII <alone> http://example.org/a?b=1&c=2 12:30 0x1F 1e5x",
        "",
        "\u0301e\u0301 \u00a0\u2028x\u3000y",
    ]

    async def words(fold: str) -> list[Any]:
        found = []
        for text in texts:
            quoted = text.replace("'", "''")
            found += await query(postgres_url, f"SELECT to_tsvector('simple', {fold}('{quoted}'))::text")
        return found

    store = await Store.open(postgres_url)
    engine = make_engine(parse_url(postgres_url))
    await engine.run(lambda connection: migration.upgrade(connection, "0013"), writes=True)
    before = await words("mailbox_app_fold")
    await store.upgrade()
    assert await words("mailbox_app_fold") == before
    box = (await store.save_mailbox(KEY)).id
    await store.insert_messages([message_row(box, 1, body_text="".join(f"{n} x " for n in range(9_000)))])
    (has_lz4,) = await query(
        postgres_url, "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    )
    found = await query(postgres_url, "SELECT pg_column_compression(body_text) FROM mailbox_app_mailmessage")
    assert found == [("lz4" if has_lz4[0] else "pglz",)]
    await engine.close()
    await store.close()


@pytest.mark.parametrize(
    ("flag", "without", "index"), [(FLAGGED, False, "flagged"), (SEEN, True, "unread"), (ANSWERED, False, "answered")]
)
@pytest.mark.asyncio
async def test_what_is_asked_of_flags_is_what_their_indexes_hold(
    store: Store, store_url: str, flag: str, without: bool, index: str
) -> None:
    dialect = "sqlite" if "sqlite" in store_url else "postgresql"
    wanted = f"{'NOT ' if without else ''}{has_flag(flag, dialect)}"
    plan = await explained(store_url, f"SELECT id FROM {messages.name} WHERE {wanted} ORDER BY received_at, id LIMIT 5")
    assert f"{messages.name}_{index}_idx" in plan


@pytest.mark.asyncio
async def test_what_is_asked_of_subjects_is_what_their_index_holds(store: Store, store_url: str) -> None:
    if "sqlite" in store_url:
        return  # its index of all words has a column of them
    wanted = select(messages.c.id).where(search.SUBJECT.bool_op("@@")(func.to_tsquery("word")))
    plan = await explained(store_url, str(wanted.compile(compile_kwargs={"literal_binds": True})))
    assert search.SUBJECT_INDEX in plan


async def explained(url: str, statement: str) -> str:
    """How a database with some rows would do it that likes indexes."""

    def explain(connection: Connection) -> str:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        how = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        return " ".join(str(row) for row in connection.exec_driver_sql(f"{how} {statement}"))

    engine = make_engine(parse_url(url))
    try:
        return await engine.run(explain, writes=False)
    finally:
        await engine.close()
