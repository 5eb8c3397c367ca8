"""Every row is told of by `stored`, also where NATS has lost the event that it was stored from (I4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from consumers import telling
from mailcore.bus import Bus
from mailcore.events.message import FoundBy, Kind
from mailcore.media import Media
from mailcore.store import MessageRow, Store
from tests.support.consumers import Ear, consuming, event, until
from tests.support.stores import KEY, message_row, query

LONG_AGO = timedelta(minutes=5)
UNTOLD = "SELECT message_id FROM mailbox_app_untold"


def left_by_a_consumer_that_died(mailbox_id: int, uid: int, ago: timedelta) -> MessageRow:
    """A row as it was committed; neither the event nor a word of it is anywhere in NATS."""
    now = datetime.now(UTC)
    return message_row(
        mailbox_id,
        uid,
        stored_at=now - ago,
        pushed_at=now - ago,
        published_at=now - ago,
        kind=Kind.COPY.value,
        found_by=FoundBy.SWEEP.value,
    )


@pytest.mark.invariant("I4")
@pytest.mark.asyncio
async def test_what_was_stored_and_not_told_is_told_though_its_event_is_gone(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    row = left_by_a_consumer_that_died(mailbox_id, 7, LONG_AGO)
    (row_id,) = await store.insert_messages([row])
    assert await query(store_url, UNTOLD) == [(row_id,)]
    async with consuming(bus, store, media):
        await ear.count(1)
    (told,) = ear.stored
    assert (told.row_id, told.account, told.mailbox, told.uid) == (row_id, KEY.account, KEY.mailbox, 7)
    assert (told.kind, told.found_by, told.sha256) == (Kind.COPY, FoundBy.SWEEP, row.sha256)
    assert told.attachments == len(row.attachments) == len(told.files)
    assert await query(store_url, UNTOLD) == []


@pytest.mark.asyncio
async def test_what_may_still_be_on_its_way_and_what_was_imported_is_not_told(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    young = left_by_a_consumer_that_died(mailbox_id, 7, timedelta(0))
    imported = message_row(mailbox_id, 8, stored_at=datetime.now(UTC) - LONG_AGO)
    (row_id, _) = await store.insert_messages([young, imported])
    async with consuming(bus, store, media):
        await bus.publish(event(1))
        await ear.count(1)
    assert [told.uid for told in ear.stored] == [1]
    assert await query(store_url, UNTOLD) == [(row_id,)]


@pytest.mark.asyncio
async def test_a_bug_in_taking_marks_away_is_told_and_they_go_later(
    bus: Bus,
    ear: Ear,
    store: Store,
    store_url: str,
    media: Media,
    mailbox_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing_untold() -> bool:
        return await query(store_url, UNTOLD) == []

    mark_told, calls = store.mark_told, list[int]()

    async def broken_once(row_ids: Sequence[int]) -> None:
        calls.extend(row_ids)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        await mark_told(row_ids)

    monkeypatch.setattr(store, "mark_told", broken_once)
    monkeypatch.setattr(telling, "AFTER_A_FAULT", 0.1)
    async with consuming(bus, store, media):
        await bus.publish(event(1))
        await ear.count(1)
        await until(nothing_untold, "the mark is taken away at the next try")
    assert len(calls) == 2


@pytest.mark.asyncio
async def test_what_is_told_is_marked_so_while_the_consumer_runs_and_when_it_ends(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    async def nothing_untold() -> bool:
        return await query(store_url, UNTOLD) == []

    async with consuming(bus, store, media):
        await bus.publish(event(1))
        await ear.count(1)
        await until(nothing_untold, "the mark is taken away")
        await bus.publish(event(2))
        await ear.count(2)
    assert await nothing_untold()
