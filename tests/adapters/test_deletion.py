"""The mail of accounts that were removed with it: rows and files go for good, of these accounts alone."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from consumers.deletion import Deletion
from consumers.retrying import Retrying
from mailcore.bus import Bus
from mailcore.errors import StoreError
from mailcore.events.identity import MailboxKey
from mailcore.media import Media
from mailcore.store import MessageFilter, Move, Slot, Store
from tests.support.consumers import consuming, event, kept_files, listening, until
from tests.support.stores import KEY, message_row, query

pytestmark = pytest.mark.asyncio
SEEN = datetime.now(UTC) - timedelta(days=1)
OTHER = MailboxKey("other", "INBOX")


def deletion(store: Store, media: Media) -> Deletion:
    return Deletion(store, media, Retrying(asyncio.Event()), messages=3)


async def fill(store: Store, media: Media, key: MailboxKey, uids: range, seen: datetime = SEEN) -> list[str]:
    """Messages with a file each; the paths of the files."""
    box = await store.save_mailbox(key, uidvalidity=7, first_seen_at=seen)
    rows = [message_row(box.id, uid) for uid in uids]
    files = [row.attachments[0].file for row in rows]
    await media.write([(PurePosixPath(file), b"pdf") for file in files])
    await store.insert_messages(rows)
    return files


async def remove(store: Store, name: str, *, deletes_mail: bool = True) -> None:
    assert await store.add_account(name, {}, "", datetime.now(UTC))
    assert await store.remove_account(name, datetime.now(UTC), deletes_mail=deletes_mail)


async def test_rows_and_files_of_that_account_go_and_nothing_else(
    store: Store, store_url: str, media: Media, tmp_path: Path
) -> None:
    files = await fill(store, media, KEY, range(1, 11))
    others = await fill(store, media, OTHER, range(11, 14))
    box = await store.load_mailbox(KEY)
    assert box is not None
    await store.rebind([Move(Slot(box.id, 7, 1), Slot(box.id, 8, 1))])
    linked = tmp_path / "linked.pdf"
    os.link(media.root / files[0], linked)
    await remove(store, OTHER.account, deletes_mail=False)
    assert await deletion(store, media).once() == 0, "it was removed without its mail"

    await remove(store, KEY.account)
    assert await deletion(store, media).once() == 10

    assert kept_files(media.root) == set(others)
    assert linked.read_bytes() == b"pdf"
    for table, left in (("message", 3), ("attachment", 3), ("formeridentity", 0)):
        assert await query(store_url, f"SELECT count(*) FROM mailbox_app_mail{table}") == [(left,)], table
    page = await store.list_messages(MessageFilter(query="Grüße"))
    assert sorted(one.uid for one in page.messages) == [11, 12, 13]
    assert await deletion(store, media).once() == 0


async def test_the_name_is_taken_until_all_is_gone(store: Store, media: Media) -> None:
    await fill(store, media, KEY, range(1, 3))
    await remove(store, KEY.account)
    assert await store.deleting() == {KEY.account}
    assert not await store.add_account(KEY.account, {}, "", datetime.now(UTC))
    assert not await store.delete_mailboxes(KEY.account), "they have messages yet"
    await deletion(store, media).once()
    assert not await store.add_account(KEY.account, {}, "", datetime.now(UTC))
    assert await store.delete_mailboxes(KEY.account)
    assert await store.load_mailbox(KEY) is None
    assert await store.deleting() == set()
    assert await store.add_account(KEY.account, {}, "", datetime.now(UTC))
    assert await store.accounts_without_mail() == set()


async def test_who_was_removed_before_can_be_removed_with_its_mail(store: Store, media: Media) -> None:
    await fill(store, media, KEY, range(1, 3))
    await remove(store, KEY.account, deletes_mail=False)
    assert not await store.remove_account(KEY.account, datetime.now(UTC), deletes_mail=False)
    assert await store.remove_account(KEY.account, datetime.now(UTC), deletes_mail=True)
    assert await deletion(store, media).once() == 2


async def test_whatever_fails_in_between_is_done_by_the_next_look(
    store: Store, store_url: str, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, media, KEY, range(1, 11))
    await remove(store, KEY.account)
    deleted, stop = store.delete_messages, asyncio.Event()

    async def killed(row_ids: list[int]) -> None:
        """After the first batch, with the files of the second one gone already."""
        if len(await query(store_url, "SELECT id FROM mailbox_app_mailmessage")) < 10:
            stop.set()
            raise StoreError("the process is killed here")
        await deleted(row_ids)

    monkeypatch.setattr(store, "delete_messages", killed)
    await Deletion(store, media, Retrying(stop), messages=3).run()
    assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailmessage") == [(7,)]
    assert len(kept_files(media.root)) == 4, "files go first"
    monkeypatch.undo()

    assert await deletion(store, media).once() == 7
    assert kept_files(media.root) == set()
    assert await store.delete_mailboxes(KEY.account)


async def test_one_process_deletes_at_a_time(store: Store, media: Media) -> None:
    await fill(store, media, KEY, range(1, 3))
    await remove(store, KEY.account)
    async with store.lock("deletion", 5):
        assert await deletion(store, media).once() == 0
    assert await deletion(store, media).once() == 2


async def test_an_account_that_has_the_name_now_keeps_its_mail(store: Store, media: Media) -> None:
    """Of the settings, say, which nobody adds."""
    await remove(store, KEY.account)
    files = await fill(store, media, KEY, range(1, 3), seen=datetime.now(UTC) + timedelta(seconds=1))
    await store.save_mailbox(MailboxKey(KEY.account, "Begun"), last_error="not seen yet")
    assert await deletion(store, media).once() == 0
    assert await store.deleting() == set()
    assert kept_files(media.root) == set(files)


async def test_what_is_still_on_its_way_is_dropped(bus: Bus, store: Store, store_url: str, media: Media) -> None:
    await store.save_mailbox(OTHER, uidvalidity=7, first_seen_at=SEEN)
    await remove(store, KEY.account)
    await bus.publish(event(1))
    async with listening(bus) as ear, consuming(bus, store, media):

        async def settled() -> bool:
            return (await bus.waiting())["store"] == 0

        await until(settled, "it waits no more")
    assert (ear.stored, ear.dead) == ([], [])
    assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailmessage") == [(0,)]
