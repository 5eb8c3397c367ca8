"""The durables that the processes share, as JetStream's own JSON. Pure data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from mailcore.bus.layout.streams import MAIL, MAIL_BACKFILL, MAIL_EVENTS, ns

# How long what a killed process held waits until another one has it.
ACK_WAIT: Final = timedelta(seconds=30)
MAX_ACK_PENDING: Final = 10_000

# durable → (stream, what it is asked for)
DURABLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    name: (
        stream,
        {
            "name": name,
            "durable_name": name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": ns(ACK_WAIT),
            "max_ack_pending": MAX_ACK_PENDING,
            "max_deliver": -1,
            **filters,
        },
    )
    for name, stream, filters in (
        # What was there before, here or elsewhere in the account, has a durable of its own: new mail never waits behind
        # it.
        ("store", MAIL, {"filter_subjects": ["mail.*.*.new", "mail.*.*.rebind"]}),
        ("backfill", MAIL_BACKFILL, {"filter_subjects": ["mail.*.*.backfill", "mail.*.*.copy"]}),
        ("expunge", MAIL_EVENTS, {"filter_subject": "mail.*.*.expunged"}),
        ("flags", MAIL_EVENTS, {"filter_subject": "mail.*.*.flags"}),
    )
}

# durable → the stream that it was of before MAIL_BACKFILL was made. What it had not settled there is still stored.
FORMER: Final = {"backfill": MAIL}
