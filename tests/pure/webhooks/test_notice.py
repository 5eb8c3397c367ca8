"""What a receiver is told of, by the names of WEBHOOK_EVENTS."""

from __future__ import annotations

import pytest

from mailcore.events.message import Kind
from mailcore.events.thin import Origin, Stored
from tests.support.events import NOW
from webhooks.notice import decode, filters


@pytest.mark.parametrize(
    ("kind", "rebound_from", "word"),
    [
        (Kind.NEW, None, "stored"),
        (Kind.BACKFILL, None, "backfill"),
        (Kind.COPY, None, "copy"),
        (None, Origin(uidvalidity=1, uid=1), "backfill"),
    ],
)
def test_new_mail_alone_is_stored(kind: Kind | None, rebound_from: Origin | None, word: str) -> None:
    event = Stored(
        account="a", mailbox="INBOX", at=NOW, uidvalidity=7, uid=1, row_id=1, sha256="", size=1, attachments=0,
        kind=kind, rebound_from=rebound_from,
    )  # fmt: skip
    assert decode(event.nats_subject, event.headers(), event.payload()).word == word


def test_what_is_stored_comes_by_one_subject_whatever_it_is_called() -> None:
    assert filters(["stored"]) == filters(["copy"]) == filters(["backfill", "copy"]) == ["mail.*.*.stored"]
