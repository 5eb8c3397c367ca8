"""What the syncer writes, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from mailcore.events.identity import MailboxKey
from mailcore.store import MailboxState, Refused, Store
from mailcore.store.schema import NameText
from tests.support.stores import KEY, NOW, query


@pytest.mark.asyncio
async def test_saving_sets_what_is_named_and_keeps_the_rest(store: Store) -> None:
    assert await store.load_mailbox(KEY) is None
    born = await store.save_mailbox(KEY, uidvalidity=4_294_967_295, highestmodseq=(1 << 63) - 1)
    saved = await store.save_mailbox(KEY, last_push_at=NOW, last_error="no route", message_count=3)
    assert saved == await store.load_mailbox(KEY)
    assert saved == MailboxState(
        id=born.id,
        account="default",
        mailbox="INBOX",
        uidvalidity=4_294_967_295,
        highestmodseq=(1 << 63) - 1,
        message_count=3,
        last_push_at=NOW,
        last_error="no route",
    )


@pytest.mark.asyncio
async def test_what_is_refused_stays_until_it_is_set_anew(store: Store) -> None:
    moment = NOW.isoformat()
    refused: list[Refused] = [
        {"uid": uid, "reason": "nicht lesbar: é", "since": moment, "tries": 3, "next_try": moment} for uid in (3, 1_000)
    ]
    assert (await store.save_mailbox(KEY, uidnext=5)).refused == ()
    assert (await store.save_mailbox(KEY, refused=refused)).refused == tuple(refused)
    await store.save_mailbox(KEY, last_sync_status="incomplete")
    assert [state.refused for state in await store.mailbox_states()] == [tuple(refused)]
    assert (await store.save_mailbox(KEY, refused=[])).refused == ()


@pytest.mark.asyncio
async def test_a_mailbox_of_a_syncer_of_the_version_before_refuses_nothing(store: Store, store_url: str) -> None:
    await query(store_url, "INSERT INTO mailbox_app_mailboxstate(account, mailbox) VALUES ('default', 'INBOX')")
    state = await store.load_mailbox(KEY)
    assert state is not None
    assert state.refused == ()


@pytest.mark.asyncio
async def test_saving_nothing_creates_the_row_once(store: Store) -> None:
    saved = await asyncio.gather(*(store.save_mailbox(KEY) for _ in range(5)))
    assert len({state.id for state in saved}) == 1
    assert await store.mailbox_states() == [saved[0]]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["Entwürfe/ö", "a\udcffb", "nul\0", "\ufffd00e9", "", "x" * 5000])
async def test_any_name_is_a_name(store: Store, name: str) -> None:
    key = MailboxKey("default", name)
    saved = await store.save_mailbox(key, uidnext=5)
    assert (saved.mailbox, saved.uidnext) == (name, 5)
    assert await store.load_mailbox(key) == saved


@pytest.mark.asyncio
async def test_states_come_by_account_and_name(store: Store) -> None:
    for account, mailbox in (("b", "A"), ("a", "Z"), ("a", "B")):
        await store.save_mailbox(MailboxKey(account, mailbox))
    assert [(state.account, state.mailbox) for state in await store.mailbox_states()] == [
        ("a", "B"),
        ("a", "Z"),
        ("b", "A"),
    ]


@given(st.text(st.characters(codec=None)))
def test_names_survive_the_column_and_are_text_that_every_database_takes(name: str) -> None:
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        column = NameText()
        bound = column.process_bind_param(name, dialect)
        assert bound is not None
        assert b"\0" not in bound.encode()
        assert column.process_result_value(bound, dialect) == name
