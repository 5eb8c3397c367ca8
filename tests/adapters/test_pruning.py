"""Retention of messages: the content goes, who the message was stays, and so nothing is fetched or stored again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import Connection
from structlog.testing import capture_logs

from consumers.pruning import Pruning, needs_order
from consumers.retrying import Retrying
from mailcore.events.identity import Identity
from mailcore.media import Media
from mailcore.store import AttachmentRow, MessageFilter, MessageRow, Move, Slot, Store
from mailcore.store import pruning as statements
from mailcore.store.pruning import Share
from mailcore.waits import WAITS
from tests.support.consumers import eventually, kept_files
from tests.support.stores import KEY, message_row, query

OLD, YOUNG = datetime.now(UTC) - timedelta(days=31), datetime.now(UTC) - timedelta(days=29)
WROTE = "'' = subject AND '' = from_name AND '' = from_email AND '' = body_text AND '' = body_html AND '' = message_id"


# In every column that a sender fills.
_TEXTS = ("message_id", "subject", "from_name", "in_reply_to", "body_text", "body_html", "search_text")
_LISTS = ("to_emails", "cc_emails", "reply_to", "references", "flags", "to_names", "cc_names")
SECRETS: dict[str, Any] = dict.fromkeys(_TEXTS, "geheim") | dict.fromkeys(_LISTS, ("geheim",))
SECRETS |= {"from_email": "wer@geheim.example", "headers": (("Subject", "geheim"),)}


MAX_AGE = timedelta(days=30)


def pruning(store: Store, media: Media, stop: asyncio.Event | None = None) -> Pruning:
    return Pruning(store, media, Retrying(stop or asyncio.Event()), MAX_AGE)


async def prune(store: Store, media: Media) -> int:
    """As `mozzart prune` does."""
    return await pruning(store, media).all_before(datetime.now(UTC) - MAX_AGE)


async def fill(store: Store, media: Media, box: int, stored: dict[int, datetime]) -> dict[int, MessageRow]:
    """By UID: rows that were stored at those times, each with one file that is there."""
    rows = {uid: message_row(box, uid, stored_at=at, **SECRETS) for uid, at in stored.items()}
    await media.write([(PurePosixPath(row.attachments[0].file), b"pdf") for row in rows.values()])
    await store.insert_messages(list(rows.values()))
    return rows


@pytest.mark.asyncio
async def test_what_is_older_loses_its_content_and_nothing_else_does(
    store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    stored = {uid: OLD if uid <= 250 else YOUNG for uid in range(1, 256)}
    rows = await fill(store, media, mailbox_id, stored)

    with capture_logs() as logs:
        assert await prune(store, media) == 250
    assert [(line["event"], line["messages"], line["bytes"]) for line in logs] == [("pruned", 250, 25_000)]

    assert kept_files(media.root) == {rows[uid].attachments[0].file for uid in range(251, 256)}
    for wanted in ({}, {"query": "geheim"}, {"has_attachments": True}, {"mailbox": "INBOX"}, {"sender": "wer"}):
        page = await store.list_messages(MessageFilter(**wanted), None, 300)
        assert sorted(each.uid for each in page.messages) == list(range(251, 256)), wanted
    assert await query(store_url, f"SELECT count(*) FROM mailbox_app_mailmessage WHERE {WROTE}") == [(250,)]
    named = "SELECT count(*) FROM mailbox_app_mailmessage WHERE to_names IS NOT NULL OR cc_names IS NOT NULL"
    assert await query(store_url, named) == [(5,)]
    left = await query(store_url, "SELECT * FROM mailbox_app_mailmessage WHERE pruned_at IS NOT NULL")
    assert len(left) == 250
    assert "geheim" not in str(left)
    assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailattachment") == [(5,)]
    pruned, kept = await query(store_url, "SELECT id FROM mailbox_app_mailmessage WHERE uid IN (1, 255) ORDER BY uid")
    assert await store.message(pruned[0]) is None
    assert await store.message(kept[0]) is not None
    assert await pruning(store, media).once() == 0


@pytest.mark.asyncio
async def test_who_they_were_is_remembered(store: Store, store_url: str, media: Media, mailbox_id: int) -> None:
    rows = await fill(store, media, mailbox_id, {1: OLD, 2: OLD, 3: YOUNG})
    before = await store.locate({Identity(KEY.account, KEY.mailbox, 7, uid): 0 for uid in (1, 2, 3)})
    await prune(store, media)

    # The sweep misses nothing, a redelivery makes no second row (I3, I4) …
    assert await store.stored_uids(mailbox_id, 7) == [1, 2, 3]
    after = await store.locate({Identity(KEY.account, KEY.mailbox, 7, uid): 0 for uid in (1, 2, 3)})
    ids = []
    for identity in sorted(before):
        found, was = after[identity].stored, before[identity].stored
        assert found is not None
        assert was is not None
        ids.append(found.id)
        assert (found.id, found.size, found.sha256) == (was.id, was.size, was.sha256)
    assert await store.insert_messages([rows[uid] for uid in (1, 2, 3)]) == ids
    # … and a new UIDVALIDITY binds it anew (I7), without giving it back what it lost.
    assert {(one.uid, one.sha256) for one in await store.other_generations(mailbox_id, 8)} == {
        (uid, row.sha256) for uid, row in rows.items()
    }
    await store.rebind([Move(Slot(mailbox_id, 7, 1), Slot(mailbox_id, 8, 11))])
    assert await query(store_url, f"SELECT uid FROM mailbox_app_mailmessage WHERE {WROTE} ORDER BY uid") == [
        (2,),
        (11,),
    ]
    assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailmessage") == [(3,)]


@pytest.mark.asyncio
async def test_a_pass_that_was_cut_off_behind_the_files_is_ended_by_the_next_one(
    store: Store, media: Media, mailbox_id: int
) -> None:
    rows = await fill(store, media, mailbox_id, {1: OLD, 2: OLD})
    await media.remove([rows[1].attachments[0].file])

    assert await prune(store, media) == 2
    assert kept_files(media.root) == set()


@pytest.mark.asyncio
async def test_a_row_that_names_a_file_elsewhere_keeps_the_others_from_nothing(
    store: Store, media: Media, mailbox_id: int
) -> None:
    outside = media.root.parent / "elsewhere.pdf"
    outside.write_bytes(b"not ours")
    part = AttachmentRow("2", "x", "a/b", 1, "b" * 64, "", False, "../elsewhere.pdf")
    await store.insert_messages([message_row(mailbox_id, 9, stored_at=OLD, attachments=(part,))])
    await fill(store, media, mailbox_id, {1: OLD, 2: OLD})

    with capture_logs() as logs:
        assert await prune(store, media) == 3
    assert outside.read_bytes() == b"not ours"
    assert kept_files(media.root) == set()
    assert [line["file"] for line in logs if line["event"] == "file-not-removed"] == ["../elsewhere.pdf"]


@pytest.mark.asyncio
async def test_it_goes_on_until_the_process_is_to_stop(store: Store, media: Media, mailbox_id: int) -> None:
    stop = asyncio.Event()
    await fill(store, media, mailbox_id, {9: YOUNG})
    async with asyncio.TaskGroup() as group:
        group.create_task(pruning(store, media, stop).run(every=timedelta(seconds=0.05)))
        for uid in (1, 2):  # the second one after the first pass
            rows = await fill(store, media, mailbox_id, {uid: OLD})
            file = rows[uid].attachments[0].file
            await eventually(lambda file=file: file not in kept_files(media.root), f"{file} is gone")
        stop.set()


@pytest.mark.asyncio
async def test_a_bug_in_it_ends_neither_it_nor_the_process(
    store: Store, media: Media, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    tried = pruning(store, media, stop)
    once, calls = tried.once, []

    async def fails_first() -> int:
        calls.append(1)
        return 1 // (len(calls) - 1) and await once()

    monkeypatch.setattr(tried, "once", fails_first)
    rows = await fill(store, media, mailbox_id, {1: OLD, 2: YOUNG})
    old, young = (rows[uid].attachments[0].file for uid in (1, 2))
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            group.create_task(tried.run(every=timedelta(seconds=0.02)))
            await eventually(lambda: kept_files(media.root) == {young}, f"the second pass removes {old}")
            stop.set()
    assert "not-pruned" in [line["event"] for line in logs]


@pytest.mark.asyncio
async def test_a_bug_that_one_row_meets_keeps_no_other_from_being_pruned(
    store: Store, store_url: str, media: Media, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, media, mailbox_id, dict.fromkeys((1, 2, 3), OLD))
    ((bad,),) = await query(store_url, "SELECT id FROM mailbox_app_mailmessage WHERE uid = 1")
    real = statements.prune

    def fails(connection: Connection, row_ids: Sequence[int], at: datetime) -> None:
        if bad in row_ids:
            raise TypeError("planted")
        real(connection, row_ids, at)

    monkeypatch.setattr(statements, "prune", fails)
    with capture_logs() as logs:
        assert await prune(store, media) == 2
    assert await query(store_url, "SELECT uid FROM mailbox_app_mailmessage WHERE pruned_at IS NULL") == [(1,)]
    assert {line["row_id"] for line in logs if line["event"] == "row-not-pruned"} == {bad}
    assert len([line for line in logs if line["event"] == "fault"]) == 1


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_never_all_and_never_more_than_a_tenth_without_an_order(due: int, others: int) -> None:
    kept = due + others
    if needs_order(Share(due, kept)):
        assert due == kept or due * 10 > kept
    else:
        assert due == 0 or (others and (due <= 2 or due * 10 <= kept))


@pytest.mark.asyncio
async def test_a_clock_that_jumped_is_no_order(
    store: Store, media: Media, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = await fill(store, media, mailbox_id, dict.fromkeys(range(1, 12), YOUNG))
    guarded = pruning(store, media)
    jump = timedelta(days=60)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + jump

    def stopped() -> float | None:
        return REGISTRY.get_sample_value("mozzart_pruning_stopped_messages")

    monkeypatch.setattr("consumers.pruning.datetime", Clock)
    with capture_logs() as logs:
        assert await guarded.once() == await guarded.once() == 0
    assert [(one["due"], one["kept"]) for one in logs if one["event"] == "pruning stopped"] == [(11, 11)], "once"
    assert kept_files(media.root) == {row.attachments[0].file for row in rows.values()}
    assert "11 of 11 messages" in WAITS.asks
    assert "`mozzart prune`" in WAITS.asks
    assert stopped() == 11

    jump = timedelta(0)
    assert await guarded.once() == 0
    assert (WAITS.asks, stopped()) == ("", 0)


@pytest.mark.asyncio
async def test_a_clock_that_jumps_in_the_middle_of_a_pass_takes_nothing_with_it(
    store: Store, media: Media, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, media, mailbox_id, {uid: OLD if uid <= 2 else YOUNG for uid in range(1, 30)})
    guarded = pruning(store, media)
    real = store.outdated

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(days=60)

    async def outdated(before: datetime, limit: int) -> Any:
        monkeypatch.setattr("consumers.pruning.datetime", Later)
        return await real(before, limit)

    monkeypatch.setattr(store, "outdated", outdated)
    assert await guarded.once() == 2
    assert len(kept_files(media.root)) == 27
