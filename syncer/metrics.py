"""What the syncer counts. Labels are account and mailbox; nothing of a message is a label."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from mailcore.events.identity import MailboxKey

_MAILBOX = ("account", "mailbox")
PUBLISHED = Counter("mozzart_published", "Messages put into JetStream", (*_MAILBOX, "found_by"))
RECONNECTS = Counter("mozzart_reconnects", "Live connections that ended", _MAILBOX)
SWEEP_FOUND_MISSED = Counter(
    "mozzart_sweep_found_missed", "Mail found by a sweep that IDLE had not announced", _MAILBOX
)
SWEEP_SECONDS = Histogram("mozzart_sweep_seconds", "One comparison of server and ledger, without fetching")


def of(key: MailboxKey) -> tuple[str, str]:
    """The labels of a mailbox."""
    return key.account, key.mailbox
