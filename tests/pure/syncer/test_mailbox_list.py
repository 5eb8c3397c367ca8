"""Sweeps of an account do not wait for what is done about its list of mailboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from pydantic import SecretStr

from mailcore.account import Account
from syncer import mailbox_list
from syncer.connections import Connections
from syncer.imap.model import Listed, MailboxesListed, MailboxStatus
from syncer.mailbox_list import MailboxList, Seen

ACCOUNT = Account(name="anna", host="imap.example", port=143, user="anna", password=SecretStr("x"), mailboxes=("*",))
ONE = Listed("INBOX", frozenset(), True, "/", MailboxStatus(7, 2, 1, None))


class Looking:
    """Connections that are there at once."""

    @asynccontextmanager
    async def look(self) -> AsyncIterator[object]:
        yield object()


@pytest.mark.trio
async def test_a_sweep_asks_by_itself_while_a_renamed_mailbox_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    followed, go_on = trio.Event(), trio.Event()

    async def listed(*_: object) -> MailboxesListed:
        return MailboxesListed((ONE,), True)

    async def take(_: Seen) -> bool:
        followed.set()
        await go_on.wait()  # a connection that is silent
        return False

    def counted(*_: object) -> None: ...

    monkeypatch.setattr(mailbox_list, "aio", listed)
    lists = MailboxList(ACCOUNT, cast("Connections", cast("Any", Looking())), 0.01, take, counted, lambda: True)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lists.run)
            await followed.wait()
            assert await lists.counters("INBOX") is None
            go_on.set()
            while (snapshot := await lists.counters("INBOX")) is None:  # noqa: ASYNC110 - another task has to run
                await trio.sleep(0.001)
            assert snapshot.messages == 1
            nursery.cancel_scope.cancel()
