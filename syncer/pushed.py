"""The fetch of what a push hints at, over the connection that has the mailbox selected."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from mailcore.aio import aio
from mailcore.errors import CommandFailed
from mailcore.events.message import FoundBy
from mailcore.sync.retry import verdict
from syncer import metrics
from syncer.imap.connection import ImapConnection
from syncer.mailbox import MailboxTasks
from syncer.transfer import Transfer


async def fetch_pushed(
    mailbox: MailboxTasks, connection: ImapConnection, first: int, at: datetime
) -> tuple[Transfer, bool]:
    """Publish everything from UID `first` on. False: the server refused, and what came before that is published.

    The mailbox is open; `at` is when the hint came."""
    machine, shared, refused = mailbox.machine, mailbox.shared, False
    if machine.birth is None:
        raise AssertionError("a push is fetched of a mailbox that is not open")
    uidvalidity = machine.uidvalidity
    transfer = Transfer(connection, shared.bus, machine, machine.birth, shared.origins, shared.spool, FoundBy.PUSH, at)
    try:
        await aio(transfer.push, first)
    except* CommandFailed as error:
        refused = True
        mailbox.log.warning("push not fetched; it is fetched by itself", error=verdict(error).text)
        mailbox.connections.judge(error)
    finally:
        mailbox.not_given(uidvalidity, transfer.not_given)
        machine.give_back(uidvalidity, transfer.claimed - transfer.given, time.monotonic())
        mailbox.changed()
    metrics.PUBLISHED.labels(*metrics.of(mailbox.key), FoundBy.PUSH.value).inc(len(transfer.given))
    if transfer.given:
        mailbox.remember(last_push_at=datetime.now(UTC), last_uid=max(first - 1, transfer.highest))
    return transfer, not refused
