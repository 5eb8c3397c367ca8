"""What becomes of a message that JetStream does not take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from mailcore.bus import MAIL, Bus
from mailcore.errors import BusError
from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import Birth
from mailcore.sync.mailbox import Mailbox
from mailcore.sync.statuses import Octets
from syncer.imap.connection import FetchedMessage, ImapConnection
from syncer.transfer import Transfer

NOW = datetime.now(UTC)


class Two:
    """A connection that gives a small and a large message."""

    async def uid_fetch_messages(self, *_: Any, **__: Any) -> AsyncIterator[FetchedMessage]:
        for uid, body in ((1, b"small"), (2, b"x" * 9_000)):
            yield FetchedMessage(uid, (), NOW, len(body), body, True)


@pytest.mark.invariant("I2")
@pytest.mark.asyncio
async def test_what_got_no_puback_is_missing_again_and_what_got_one_is_in_flight(bus: Bus, tmp_path: Path) -> None:
    # I2
    config = (await bus._jetstream.call(f"STREAM.INFO.{MAIL}"))["config"]
    await bus._jetstream.call(f"STREAM.UPDATE.{MAIL}", {**config, "max_msg_size": 5_000})
    birth = Birth(NOW, 1)
    mailbox = Mailbox(MailboxKey("default", "INBOX"), Octets(), 60.0)
    mailbox.opened(7, birth, 0.0)
    mailbox.announced(7, UidSet([1, 2]))
    wish = mailbox.claim(0.0, 10)
    assert wish is not None
    transfer = Transfer(cast("ImapConnection", Two()), bus, mailbox, birth, tmp_path, FoundBy.SWEEP, NOW)

    with pytest.raises(BusError, match="refused"):
        await transfer.batch(wish.uids)
    mailbox.give_back(7, wish.uids, 0.0)

    assert mailbox.uids.missing == UidSet([2])
    assert list(mailbox.uids.in_flight) == [1]
