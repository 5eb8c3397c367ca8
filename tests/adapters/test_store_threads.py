"""Messages that answer each other, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from mailcore.events.identity import Identity, MailboxKey
from mailcore.store import MessageRow, Store, threads
from tests.support.stores import KEY, NOW, message_row, query


@pytest_asyncio.fixture
async def box(store: Store) -> int:
    return (await store.save_mailbox(KEY, uidvalidity=7)).id


def mail(box: int, uid: int, message_id: str, *references: str, **columns: Any) -> MessageRow:
    """That has this Message-ID and answers the last of these."""
    facts: dict[str, Any] = {
        "received_at": NOW + timedelta(minutes=uid),
        "in_reply_to": references[-1:] and references[-1],
    }
    facts |= {"in_reply_to": facts["in_reply_to"] or "", "references": references, "message_id": message_id}
    return message_row(box, uid, **facts | columns)


async def of(store: Store, row_id: int) -> list[int]:
    return [one.uid for one in (await store.thread(row_id)).messages]


@pytest.mark.asyncio
async def test_a_thread_is_the_same_whichever_of_its_messages_is_looked_at(store: Store, box: int) -> None:
    rows = [
        mail(box, 1, "<a@x>"),
        mail(box, 2, "<b@x>", "<a@x>"),
        mail(box, 3, "<c@x>", "<a@x>", "<b@x>"),
        mail(box, 4, "<d@x>", "<a@x>", "<own@x>"),  # answers what is not here
        mail(box, 5, "<e@x>", "<d@x>", references=()),  # a program without References
        mail(box, 6, "", "<a@x>"),
        mail(box, 7, "<other@x>", "<elsewhere@x>"),
        mail(box, 8, ""),
    ]
    ids = await store.insert_messages(rows)
    for row_id in ids[:6]:
        assert await of(store, row_id) == [1, 2, 3, 4, 5, 6]
    assert await of(store, ids[6]) == [7]
    assert await of(store, ids[7]) == [8]
    assert (await store.thread(999_999)).messages == ()


@pytest.mark.asyncio
async def test_those_who_answer_what_is_not_here_are_together(store: Store, box: int) -> None:
    ids = await store.insert_messages([mail(box, 1, "<b@x>", "<a@x>"), mail(box, 2, "<c@x>", "<a@x>", references=())])
    assert await of(store, ids[0]) == await of(store, ids[1]) == [1, 2]


@pytest.mark.asyncio
async def test_a_thread_ends_at_its_account_and_has_copies_once(store: Store, box: int) -> None:
    archive = (await store.save_mailbox(MailboxKey("default", "Archive"), uidvalidity=7)).id
    foreign = (await store.save_mailbox(MailboxKey("other", "INBOX"), uidvalidity=7)).id
    ids = await store.insert_messages(
        [
            mail(box, 1, "<a@x>", sha256="a" * 64),
            mail(archive, 2, "<a@x>", sha256="a" * 64),
            mail(archive, 3, "<b@x>", "<a@x>"),
            mail(foreign, 4, "<c@x>", "<a@x>"),
            mail(box, 5, "<a@x>"),  # the same Message-ID, other bytes: nobody hides another's mail
        ]
    )
    assert await of(store, ids[0]) == [1, 3, 5]
    assert await of(store, ids[1]) == [2, 3, 5]
    assert await of(store, ids[3]) == [4]


@pytest.mark.asyncio
async def test_what_was_pruned_is_in_no_thread_and_what_is_gone_from_the_server_is(store: Store, box: int) -> None:
    ids = await store.insert_messages(
        [mail(box, 1, "<a@x>"), *(mail(box, uid, f"<{uid}@x>", "<a@x>") for uid in (2, 3))]
    )
    await store.mark_expunged([(Identity("default", "INBOX", 7, 2), NOW, 0)])
    await store.prune([ids[2]], NOW)
    assert await of(store, ids[0]) == [1, 2]


@pytest.mark.asyncio
async def test_a_thread_of_thousands_is_a_part_of_it_around_the_message(store: Store, box: int) -> None:
    answers = [mail(box, uid, f"<{uid}@x>", "<a@x>", attachments=()) for uid in range(2, 1_203)]
    ids = await store.insert_messages([mail(box, 1, "<a@x>"), *answers])
    for row_id, uid in ((ids[0], 1), (ids[700], 701), (ids[-1], 1_202)):
        found = await store.thread(row_id)
        assert found.cut
        assert len(found.messages) == 50
        assert uid in [one.uid for one in found.messages]


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [1, 50, 20_000])
async def test_long_identifiers_are_compared_whole(store: Store, box: int, length: int) -> None:
    key = f"<{'ä' * length}'\"$[0]@x>"
    ids = await store.insert_messages([mail(box, 1, key), mail(box, 2, "<b@x>", key), mail(box, 3, "<c@x>", key + "x")])
    assert await of(store, ids[0]) == [1, 2]


@pytest.mark.asyncio
async def test_the_index_is_used(store: Store, store_url: str, box: int) -> None:
    await store.insert_messages(
        [mail(box, uid, f"<{uid}@x>", f"<{uid // 3}@x>", attachments=()) for uid in range(2_000)]
    )
    on_sqlite = store_url.startswith("sqlite")
    await query(store_url, "ANALYZE mailbox_app_mailmessage")
    keys: Sequence[str] = ["'<7@x>'", "'<8@x>'"]
    for wanted in (f"IN ({', '.join(keys)})", f"= {keys[0]}"):
        root = threads.ROOT["sqlite" if on_sqlite else "postgresql"]
        explain = "EXPLAIN QUERY PLAN" if on_sqlite else "EXPLAIN"
        plan = await query(
            store_url, f"{explain} SELECT id FROM mailbox_app_mailmessage WHERE {root} {wanted} LIMIT 1000"
        )
        assert threads.INDEX in str(plan)
