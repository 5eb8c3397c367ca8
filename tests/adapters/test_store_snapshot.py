"""A copy of a SQLite database is of one moment, whoever writes meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from mailcore.errors import StoreError
from mailcore.store import Store, snapshot
from tests.support.stores import KEY, message_row, query


@pytest_asyncio.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Store]:
    """Some thousand pages of messages."""
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/m.db")
    await store.upgrade()
    mailbox = await store.save_mailbox(KEY, uidvalidity=7)
    await store.insert_messages([message_row(mailbox.id, uid, body_text="Wort " * 3000) for uid in range(1, 1001)])
    yield store
    await store.close()


@pytest.mark.asyncio
async def test_what_others_commit_while_pages_are_copied_is_not_in_it_and_begins_nothing_anew(
    filled: Store, tmp_path: Path
) -> None:
    source, target = tmp_path / "m.db", tmp_path / "copy.db"
    steps: list[tuple[int, int]] = []
    with closing(sqlite3.connect(source, isolation_level=None, timeout=5)) as other:

        def told(done: int, total: int) -> None:
            steps.append((done, total))
            other.execute("DELETE FROM mailbox_app_mailattachment WHERE message_id = ?", (len(steps),))
            other.execute("UPDATE mailbox_app_mailmessage SET subject = 'after' WHERE uid > 0")
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")

        snapshot.take(source, target, told)

    assert len(steps) > 3, "too few steps for this test to show anything"
    assert steps == sorted(steps), "it began anew"
    assert len({total for _, total in steps}) == 1
    url = f"sqlite+aiosqlite:///{target}"
    (counts,) = await query(
        url,
        "SELECT (SELECT count(*) FROM mailbox_app_mailmessage WHERE subject <> 'after'),"
        " (SELECT count(*) FROM mailbox_app_mailattachment)",
    )
    assert counts == (1000, 1000)
    url = f"sqlite+aiosqlite:///{source}"
    assert await query(url, "SELECT DISTINCT subject FROM mailbox_app_mailmessage") == [("after",)]


@pytest.mark.asyncio
async def test_it_is_one_file_that_tells_what_is_in_it(filled: Store, tmp_path: Path) -> None:
    target = tmp_path / "b" / "copy.db"
    target.parent.mkdir()
    snapshot.take(tmp_path / "m.db", target)

    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    found = snapshot.contents(target)
    assert (found.revision, found.messages, found.attachments, found.size) == (await filled.current(), 1000, 1000, 3000)
    files = list(snapshot.files(target))
    assert len(files) == 1000
    assert [each.file for each in files] == sorted(each.file for each in files)


@pytest.mark.asyncio
async def test_a_damaged_database_is_no_backup(filled: Store, tmp_path: Path) -> None:
    await filled.close()
    with (tmp_path / "m.db").open("r+b") as file:
        file.seek(4096 * 200)
        file.write(b"\xff" * 4096 * 5)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        snapshot.take(tmp_path / "m.db", tmp_path / "copy.db")


def test_no_database_and_no_tables_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        snapshot.take(tmp_path / "none.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "blank.db")) as connection:
        connection.execute("PRAGMA user_version = 1")
    assert snapshot.is_blank(tmp_path / "blank.db")
    with pytest.raises(StoreError, match="no tables of ours"):
        snapshot.contents(tmp_path / "blank.db")
    (tmp_path / "text.db").write_text("this is no database")
    assert not snapshot.is_blank(tmp_path / "text.db")
