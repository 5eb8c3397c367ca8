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
from mailcore.sync.generation import Birth, OldGenerations
from mailcore.sync.ledger import Ledger
from syncer.book import Book
from syncer.credit import Credit
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
    key = MailboxKey("default", "INBOX")
    book = Book(key, 1, Ledger(7), Birth(NOW, 1), OldGenerations(), Credit(1 << 20))
    transfer = Transfer(cast("ImapConnection", Two()), bus, book, tmp_path, FoundBy.SWEEP, NOW)
    assert all(book.ledger.claim(uid) for uid in (1, 2))

    with pytest.raises(BusError, match="refused"):
        await transfer.batch(UidSet([1, 2]))

    assert book.ledger.missing(UidSet([1, 2])) == UidSet([2])
    assert list(book.ledger.in_flight) == [1]
