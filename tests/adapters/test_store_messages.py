"""What the consumers write, on both databases."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mailcore.errors import Fault, Retry, Scope, StoreError
from mailcore.events.identity import Identity, MailboxKey
from mailcore.store import MessageFilter, Move, RowFlags, Slot, Store, StoredOrigin, reading, sqlite
from tests.support.postgres import Postgres
from tests.support.stores import KEY, NOW, message_row, query

_COUNTS = (
    "SELECT (SELECT count(*) FROM mailbox_app_mailmessage), (SELECT count(*) FROM mailbox_app_mailattachment),"
    " (SELECT count(*) FROM mailbox_app_mailformeridentity)"
)


def identity(uid: int, uidvalidity: int = 7) -> Identity:
    return Identity(KEY.account, KEY.mailbox, uidvalidity, uid)


async def mailbox(store: Store) -> int:
    return (await store.save_mailbox(KEY, uidvalidity=7)).id


@pytest.mark.asyncio
async def test_a_row_comes_back_as_it_was_given(store: Store, store_url: str) -> None:
    row = message_row(
        await mailbox(store),
        4_294_967_295,
        sent_at=NOW,
        flags=("\\Seen",),
        defects=("bad-base64",),
        from_name="Änna",
        to_emails=("b@example.org", "c@example.org"),
        cc_emails=("d@example.org",),
        message_id="<1@example.org>",
        body_html="<p>",
        origin="default/Archive/7/1",
    )
    (row_id,) = await store.insert_messages([row])
    location = (await store.locate({identity(4_294_967_295): 0}))[identity(4_294_967_295)]
    assert location.slot == row.slot
    assert location.stored is not None
    assert (location.stored.id, location.stored.sha256, location.stored.size) == (row_id, row.sha256, row.size)
    assert (location.stored.stored_at, location.stored.expunged_at) == (NOW, None)
    assert location.stored == row.stored(row_id, NOW)
    assert await query(store_url, "SELECT subject, body_text, has_attachments FROM mailbox_app_mailmessage") == [
        ("Grüße 💶", "", True)
    ]
    assert await query(store_url, "SELECT message_id, filename, size FROM mailbox_app_mailattachment") == [
        (row_id, "größe.pdf", 3)
    ]


@pytest.mark.invariant("I1", "I4")
@pytest.mark.asyncio
async def test_the_same_identity_is_one_row_however_often_it_is_inserted(store: Store, store_url: str) -> None:
    box = await mailbox(store)
    first = await store.insert_messages([message_row(box, uid) for uid in (1, 2, 1)])
    assert first[0] == first[2]
    again = await store.insert_messages([message_row(box, uid, subject="changed") for uid in (2, 3, 1)])
    assert [again[0], again[2]] == [first[1], first[0]]
    assert await query(store_url, _COUNTS) == [(3, 3, 0)]
    assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailmessage WHERE subject = 'changed'") == [(1,)]


@pytest.mark.asyncio
async def test_flags_become_what_is_told_last_and_nothing_older(store: Store) -> None:
    box = await mailbox(store)
    await store.insert_messages([message_row(box, uid, flags=("x",)) for uid in (1, 2, 3)])
    later, last = NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=2)
    await store.mark_expunged([(identity(3), NOW, 0)])

    await store.set_flags(
        [(identity(1), ("\\Seen",), last, 0), (identity(1), (), later, 0), (identity(9), (), last, 0)]
    )
    await store.set_flags([(identity(2), ("y",), later, box), (identity(2), ("z", "\\Flagged"), last, box)])
    await store.set_flags([(identity(1), ("old",), later, 0)])

    assert await store.flags_of(box, 7, [1, 2, 3, 9]) == {
        1: RowFlags(("\\Seen",), last),
        2: RowFlags(("z", "\\Flagged"), last),
    }


@pytest.mark.asyncio
async def test_two_consumers_that_set_the_same_flags_at_once_do_not_wait_for_each_other(
    store: Store, store_url: str
) -> None:
    box = await mailbox(store)
    await store.insert_messages([message_row(box, uid) for uid in range(1, 201)])
    other = await Store.open(store_url)
    changes = [(identity(uid), ("\\Seen",), NOW, 0) for uid in range(1, 201)]
    for _ in range(5):
        await asyncio.gather(store.set_flags(changes), other.set_flags(changes[::-1]))
        changes = [(one, flags, at + timedelta(seconds=1), row) for one, flags, at, row in changes]
    assert {row.flags for row in (await store.flags_of(box, 7, range(1, 201))).values()} == {("\\Seen",)}
    await other.close()


@pytest.mark.asyncio
async def test_consumers_that_insert_the_same_at_once_agree_on_the_rows(store: Store, store_url: str) -> None:
    box = await mailbox(store)
    other = await Store.open(store_url)
    rows = [message_row(box, uid) for uid in range(1, 101)]
    forwards, backwards = await asyncio.gather(
        store.insert_messages(rows[:60]), other.insert_messages(rows[40:]), return_exceptions=False
    )
    assert forwards[40:] == backwards[:20]
    assert await query(store_url, _COUNTS) == [(100, 100, 0)]
    await other.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "columns",
    [{"subject": "\ud800"}, {"size": 1 << 70}],
    ids=["surrogate", "too-large"],
)
async def test_a_refused_row_takes_its_transaction_along_and_is_the_messages_fault(
    store: Store, store_url: str, columns: dict[str, Any]
) -> None:
    box = await mailbox(store)
    with pytest.raises(StoreError) as caught:
        await store.insert_messages([message_row(box, 1), message_row(box, 2, **columns)])
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.NEVER)
    assert "Grüße" not in str(caught.value)
    assert await query(store_url, _COUNTS) == [(0, 0, 0)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"received_at": datetime(2024, 1, 1), "attachments": ()}, "offset-naive"),  # noqa: DTZ001  # that is the fault
        ({"sent_at": datetime(2024, 1, 1)}, "a time without a zone"),  # noqa: DTZ001  # that is the fault
        ({"attachments": (None,)}, "NoneType"),
    ],
    ids=["in-our-code", "in-our-types", "another-kind"],
)
async def test_a_bug_of_ours_in_a_transaction_is_blamed_on_nobody_else(
    store: Store, store_url: str, columns: dict[str, Any], words: str
) -> None:
    box = await mailbox(store)
    with capture_logs() as lines, pytest.raises(Fault, match=r"a fault of ours .*see the log$") as caught:
        await store.insert_messages([message_row(box, 1), message_row(box, 2, **columns)])
    assert words in str(caught.value)
    assert "the database" not in str(caught.value)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("fault", "error")
    assert "mailcore/store/" in line["exception"]
    assert "Grüße" not in str(line)
    assert await query(store_url, _COUNTS) == [(0, 0, 0)]
    await store.insert_messages([message_row(box, 1)])
    assert await query(store_url, _COUNTS) == [(1, 1, 0)]


@pytest.mark.asyncio
async def test_a_bug_of_ours_in_reading_is_no_database_that_does_not_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "page", lambda *given: None + 1)  # type: ignore[operator]  # that is the fault
    with capture_logs() as lines, pytest.raises(Fault):
        await store.list_messages(MessageFilter())
    assert "None + 1" in lines[0]["exception"]


@pytest.mark.asyncio
async def test_a_mailbox_without_a_row_is_not_the_messages_fault(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        await store.insert_messages([message_row(4711, 1)])
    assert (caught.value.scope, caught.value.retry) == (Scope.MAILBOX, Retry.LATER)
    assert await store.locate({identity(1): 0}) == {}


@pytest.mark.asyncio
async def test_expunged_rows_stay_and_count_no_more(store: Store) -> None:
    box = await mailbox(store)
    ids = await store.insert_messages([message_row(box, uid) for uid in (1, 2, 3)])
    unknown = Identity("nobody", "nowhere", 1, 1)
    await store.mark_expunged([(identity(2), NOW, 0), (identity(99), NOW, 0), (unknown, NOW, 0)])
    await store.mark_expunged([(identity(2), NOW + timedelta(days=1), 0)])
    assert await store.stored_uids(box, 7) == [1, 3]
    assert await store.stored_among(box, 7, [2, 3, 4]) == {3}
    assert await store.count_messages() == await store.count_messages(box) == 2
    stored = (await store.locate({identity(2): 0}))[identity(2)].stored
    assert stored is not None
    assert stored.expunged_at == NOW
    await store.mark_present([ids[1]])
    assert await store.stored_uids(box, 7) == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_rebound_row_keeps_its_id_and_its_files(store: Store, store_url: str) -> None:
    box = await mailbox(store)
    ids = await store.insert_messages([message_row(box, uid) for uid in (1, 2)])
    assert await store.other_generations(box, 8) == [StoredOrigin(f"{uid:064x}", 7, uid) for uid in (1, 2)]
    files = await query(store_url, "SELECT file FROM mailbox_app_mailattachment ORDER BY id")
    moves = [Move(Slot(box, 7, 1), Slot(box, 8, 11)), Move(Slot(box, 7, 99), Slot(box, 8, 12))]
    for _ in range(2):
        assert await store.rebind(moves) == [ids[0], None]
    assert await store.stored_uids(box, 8) == [11]
    assert await store.stored_uids(box, 7) == [2]
    assert await query(store_url, "SELECT file FROM mailbox_app_mailattachment ORDER BY id") == files


@pytest.mark.invariant("I7")
@pytest.mark.asyncio
async def test_a_late_redelivery_under_a_former_identity_makes_no_second_row(store: Store, store_url: str) -> None:
    box = await mailbox(store)
    (row_id,) = await store.insert_messages([message_row(box, 1)])
    await store.rebind([Move(Slot(box, 7, 1), Slot(box, 8, 5))])
    await store.rebind([Move(Slot(box, 8, 5), Slot(box, 9, 3))])
    for former in (message_row(box, 1), message_row(box, 5, uidvalidity=8)):
        assert await store.insert_messages([former]) == [row_id]
    assert await query(store_url, _COUNTS) == [(1, 1, 2)]
    stored = (await store.locate({identity(1): 0}))[identity(1)].stored
    assert stored is not None
    assert stored.id == row_id


@pytest.mark.asyncio
async def test_a_late_redelivery_of_a_rebind_does_not_move_the_row_back(store: Store) -> None:
    box = await mailbox(store)
    (row_id,) = await store.insert_messages([message_row(box, 1)])
    first = Move(Slot(box, 7, 1), Slot(box, 8, 5))
    await store.rebind([first, Move(Slot(box, 8, 5), Slot(box, 9, 3))][:1])
    await store.rebind([Move(Slot(box, 8, 5), Slot(box, 9, 3))])
    assert await store.rebind([first]) == [row_id]
    assert await store.stored_uids(box, 9) == [3]


@pytest.mark.asyncio
async def test_two_hundred_thousand_uids_come_from_the_index_alone(store: Store, store_url: str) -> None:
    box = await mailbox(store)
    await store.insert_messages([message_row(box, 1)])
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
        "INSERT INTO mailbox_app_mailmessage (mailbox_id, uidvalidity, uid, size, sha256, has_attachments, received_at,"
        " stored_at, message_id, subject, from_name, from_email, to_emails, cc_emails, reply_to, in_reply_to,"
        " references_ids, flags, defects, headers, body_text, body_html) "
        "SELECT mailbox_id, uidvalidity, i, size, sha256, has_attachments, received_at, stored_at, message_id, subject,"
        " from_name, from_email, to_emails, cc_emails, reply_to, in_reply_to, references_ids, flags, defects, headers,"
        " body_text, body_html FROM n, mailbox_app_mailmessage"
    )
    if store_url.startswith("postgresql"):  # full text would take most of the time, and is not what is asked here
        await query(store_url, "ALTER TABLE mailbox_app_mailmessage DISABLE TRIGGER USER")
    await query(store_url, numbers)
    assert await store.stored_uids(box, 7) == list(range(1, 200_001))
    explain = "EXPLAIN QUERY PLAN " if store_url.startswith("sqlite") else "EXPLAIN "
    plan = await query(
        store_url,
        f"{explain} SELECT uid FROM mailbox_app_mailmessage WHERE mailbox_id = {box} AND uidvalidity = 7"
        " AND expunged_at IS NULL ORDER BY uid",
    )
    assert "mailbox_app_mailmessage_present_idx" in str(plan)


@pytest.mark.asyncio
async def test_a_locked_database_is_no_fault_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 20)
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/m.db")
    await store.upgrade()
    row = message_row(await mailbox(store), 1)
    other = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as caught:
        await store.insert_messages([row])
    assert (caught.value.scope, caught.value.retry) == (Scope.PROCESS, Retry.LATER)
    other.execute("COMMIT")
    other.close()
    assert await store.insert_messages([row])
    await store.close()


@pytest.mark.asyncio
async def test_a_server_that_is_down_is_no_fault_of_a_row_and_is_found_again(
    postgres: Postgres, postgres_url: str
) -> None:
    store = await Store.open(postgres_url)
    await store.upgrade()
    row = message_row(await mailbox(store), 1)
    postgres.stop()
    try:
        with pytest.raises(StoreError) as caught:
            await store.insert_messages([row])
        assert (caught.value.scope, caught.value.retry) == (Scope.PROCESS, Retry.LATER)
    finally:
        postgres.start()
    assert await store.insert_messages([row])
    await store.close()


@pytest.mark.asyncio
async def test_in_memory_readers_do_not_see_the_inside_of_a_transaction() -> None:
    store = await Store.open("sqlite+aiosqlite://")
    await store.upgrade()
    box = await mailbox(store)
    writes = [store.insert_messages([message_row(box, uid)]) for uid in range(1, 20)]
    reads = [store.stored_uids(box, 7) for _ in range(20)]
    await asyncio.gather(*(each for pair in zip(writes, reads, strict=False) for each in pair))
    reads[-1].close()
    assert await store.stored_uids(box, 7) == list(range(1, 20))
    await store.close()


@pytest.mark.invariant("I1")
@pytest.mark.asyncio
async def test_what_was_published_before_a_rename_belongs_to_the_same_row(store: Store) -> None:
    box = await mailbox(store)
    elsewhere = MailboxKey(KEY.account, "Elsewhere")
    await store.rename_mailbox(box, elsewhere.mailbox)
    assert (await store.locate({identity(1): box}))[identity(1)].slot == Slot(box, 7, 1)
    assert await store.locate({identity(1): 0}) == {}, "by its name alone it is not known any more"

    other = (await store.save_mailbox(KEY, uidvalidity=8)).id
    assert (await store.locate({identity(1): box}))[identity(1)].slot == Slot(box, 7, 1)
    assert (await store.locate({identity(1, 8): other}))[identity(1, 8)].slot == Slot(other, 8, 1)
    await store.insert_messages([message_row(box, 1)])
    await store.mark_expunged([(identity(1), NOW, box)])
    stored = (await store.locate({Identity(elsewhere.account, elsewhere.mailbox, 7, 1): box})).popitem()[1].stored
    assert stored is not None
    assert stored.expunged_at == NOW


@pytest.mark.asyncio
async def test_a_row_of_a_database_that_was_made_anew_is_found_by_its_name(store: Store) -> None:
    other = (await store.save_mailbox(MailboxKey(KEY.account, "Other"), uidvalidity=3)).id
    box = await mailbox(store)
    assert (await store.locate({identity(1): other}))[identity(1)].slot == Slot(box, 7, 1)
    foreign = Identity("somebody", KEY.mailbox, 3, 1)
    assert await store.locate({foreign: other}) == {}


@pytest.mark.asyncio
async def test_a_mailbox_gets_the_name_of_one_that_is_no_more(store: Store) -> None:
    gone = await mailbox(store)
    box = (await store.save_mailbox(MailboxKey(KEY.account, "Other"), uidvalidity=3)).id
    await store.rename_mailbox(box, KEY.mailbox)
    await store.rename_mailbox(box, KEY.mailbox)
    assert {(state.id, state.mailbox) for state in await store.mailbox_states()} == {
        (box, KEY.mailbox),
        (gone, "Other"),
    }
