"""Events to publish in tests."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from mailcore.events.identity import Identity
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.events.thin import Expunged, Flags

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
BODY = b"Subject: x\r\n\r\nhello\r\n"


def message(uid: int, body: bytes = BODY, mailbox: str = "INBOX") -> MessageEvent:
    """A message event of UIDVALIDITY 7 with `body` inline."""
    return MessageEvent(
        identity=Identity("default", mailbox, 7, uid),
        kind=Kind.NEW,
        found_by=FoundBy.PUSH,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        received_at=NOW,
        pushed_at=NOW,
        published_at=NOW,
        flags=("\\Seen", "$Forwarded"),
        body=body,
    )


def flags(uid: int, *now: str, at: datetime = NOW, modseq: int | None = None) -> Flags:
    """The thin event that says that these are its flags; `added` and `removed` are left out."""
    return Flags(
        account="default",
        mailbox="INBOX",
        at=at,
        uidvalidity=7,
        uid=uid,
        flags=now,
        added=(),
        removed=(),
        modseq=modseq,
    )


def expunged(uid: int) -> Expunged:
    """The thin event that says the same message is gone."""
    return Expunged(account="default", mailbox="INBOX", at=NOW, uidvalidity=7, uid=uid)
