"""`mozzart verify` of one mailbox whose server lists what it does not give."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import cast

import pytest
from rich.console import Console

from cli import exit_code
from cli.verify import screen as verify_screen
from cli.verify.mailbox import Compared, Transit, compare_mailbox
from cli.verify.run import Report, facts
from mailcore.imap.sequence import UidSet
from mailcore.settings import Account, Settings
from mailcore.store import Refused, Store
from syncer.imap.connection import ImapConnection, Selected
from tests.support.stores import KEY, NOW, message_row


class Lists:
    """A server that lists UIDs 1 to `last`."""

    def __init__(self, last: int, uidvalidity: int = 7) -> None:
        self._last = last
        self._uidvalidity = uidvalidity

    async def select(self, mailbox: str) -> Selected:
        return Selected(self._uidvalidity, self._last + 1, self._last, None)

    async def uid_search(self, criteria: str = "ALL") -> UidSet:
        return UidSet.from_ranges([(1, self._last)])


ACCOUNT = cast("Account", Settings(_env_file=None, imap_host="h", imap_user="u", imap_password="p").accounts[0])


async def compared(store: Store, server: Lists) -> Compared:
    async def nothing() -> Transit:
        return Transit()

    return await compare_mailbox(cast("ImapConnection", server), store, ACCOUNT, KEY, transit=nothing, wait=0)


def refused(uid: int) -> Refused:
    moment = NOW.isoformat()
    return {"uid": uid, "reason": "NO [SERVERBUG] \u202e\x1b[2J", "since": moment, "tries": 3, "next_try": moment}


def shown(one: Compared) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False, emoji=False)
    verify_screen.show(console, [one], {}, None, [], NOW + timedelta(hours=2))
    return out.getvalue()


@pytest.mark.asyncio
async def test_refused_messages_are_told_apart_from_missing_ones_and_are_no_success(
    store: Store, mailbox_id: int
) -> None:
    await store.insert_messages([message_row(mailbox_id, uid) for uid in (1, 2)])
    await store.save_mailbox(KEY, refused=[refused(2), refused(4)])

    one = await compared(store, Lists(5))
    assert [each.uid for each in one.refused] == [4], "what is stored is refused no longer"
    assert one.difference.missing == {(7, 3), (7, 5)}
    text = shown(one)
    assert "1 refused by the server" in text
    assert "    UID 4: NO [SERVERBUG] \\u202e\\x1b[2J, since 07:08 UTC (2 h ago), 3 tries, next try now\n" in text
    assert "2 missing  UIDVALIDITY 7: UID 3,5" in text

    await store.insert_messages([message_row(mailbox_id, uid) for uid in (3, 5)])
    one = await compared(store, Lists(5))
    assert not one.difference
    assert shown(one).startswith("✗ default/INBOX  5 on the server, 4 stored\n")
    report = Report([one])
    assert report.code == exit_code.FAILED
    (said,) = facts(report)["mailboxes"]
    assert (said["refused"][0]["uid"], said["refused"][0]["tries"], said["missing"]) == (4, 3, [])

    await store.insert_messages([message_row(mailbox_id, 4)])
    one = await compared(store, Lists(5))
    assert (one.whole, Report([one]).code) == (True, exit_code.OK)
    assert shown(one).startswith("✓")


@pytest.mark.asyncio
async def test_what_was_refused_under_another_uidvalidity_excuses_nothing(store: Store, mailbox_id: int) -> None:
    await store.save_mailbox(KEY, refused=[refused(1)])
    one = await compared(store, Lists(1, uidvalidity=8))
    assert (one.refused, one.difference.missing) == ((), {(8, 1)})
