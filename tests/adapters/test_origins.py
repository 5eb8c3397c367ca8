"""What an account has, read back when the syncer starts: on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailcore.events.identity import Identity, MailboxKey
from mailcore.store import Store
from syncer import origins
from syncer.origins import Origins
from tests.support.stores import KEY, NOW, message_row

ARCHIVE = MailboxKey("default", "Archive")


def digest(number: int) -> str:
    return f"{number:064x}"


@pytest.mark.asyncio
async def test_rows_are_known_page_by_page_and_what_was_expunged_too(
    store: Store, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "CHUNK", 3)
    places = [(generation, uid) for generation in (7, 8) for uid in range(1, 5)]
    rows = [message_row(mailbox_id, uid, uidvalidity=generation, sha256=digest(100 * generation + uid))
            for generation, uid in places]  # fmt: skip
    await store.insert_messages(rows)
    await store.mark_expunged([(KEY.message(7, 2), NOW, mailbox_id)])
    found = Origins()
    await found.load("default", store)
    for generation, uid in places:
        origin = KEY.message(generation, uid)
        assert found.first(ARCHIVE.message(1, 1), digest(100 * generation + uid)) == origin
    assert found.first(ARCHIVE.message(1, 1), digest(0)) is None


@pytest.mark.asyncio
async def test_a_stored_copy_names_the_one_that_was_first(store: Store, mailbox_id: int) -> None:
    await store.insert_messages([message_row(mailbox_id, 5, sha256=digest(1), origin=str(ARCHIVE.message(3, 9)))])
    found = Origins()
    await found.load("default", store)
    assert found.first(KEY.message(7, 5), digest(1)) == ARCHIVE.message(3, 9)


@pytest.mark.asyncio
async def test_an_account_knows_its_own_messages_alone_and_those_without_a_hash_not_at_all(
    store: Store, mailbox_id: int
) -> None:
    await store.insert_messages([message_row(mailbox_id, 1, sha256=digest(1)), message_row(mailbox_id, 2, sha256="")])
    found = Origins()
    await found.load("another", store)
    assert found.first(KEY.message(7, 1), digest(1)) is None
    await found.load("default", store)
    assert found.first(Identity("default", "x", 1, 1), digest(1)) == KEY.message(7, 1)


@pytest.mark.asyncio
async def test_an_account_was_first_seen_when_the_first_of_its_mailboxes_was(store: Store) -> None:
    assert await store.account_seen_at("default") is None
    await store.save_mailbox(ARCHIVE, first_seen_at=NOW)
    await store.save_mailbox(KEY, first_seen_at=NOW + timedelta(days=1))
    await store.save_mailbox(MailboxKey("another", "INBOX"), first_seen_at=NOW - timedelta(days=1))
    assert await store.account_seen_at("default") == NOW
    assert [name for _, name in await store.mailboxes_of("default")] == ["Archive", "INBOX"]
