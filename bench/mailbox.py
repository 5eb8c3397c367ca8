"""A realistic mailbox of any size, written straight into Dovecot's Maildir: a gigabyte in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mailbox


@dataclass(frozen=True)
class Filled:
    """What was put there."""

    messages: int
    octets: int
    attachments: int
    largest: int


def fill(dovecot: Dovecot, messages: int, megabytes: int) -> Filled:
    """`messages` messages of `megabytes` MB together into the INBOX; the server's own index is made too."""
    root = dovecot.home / "users" / dovecot.user / "mail"
    for name in ("cur", "new", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    octets = attachments = largest = 0
    average = megabytes * 1_000_000 // messages
    for number, mail in enumerate(make_mailbox(messages, average=average)):
        size = len(mail.raw)
        octets, attachments, largest = octets + size, attachments + len(mail.files), max(largest, size)
        # S is the size of the file, W the size with CRLF: named, so that Dovecot need not read the file for them.
        (root / "cur" / f"{1_700_000_000 + number}.M{number}P1.bench,S={size},W={size}:2,").write_bytes(mail.raw)
    dovecot.own(root.parent)
    with dovecot.connect("INBOX") as connection:
        typ, answer = connection.fetch("1:*", "(UID RFC822.SIZE INTERNALDATE)")
        assert (typ, len(answer)) == ("OK", messages), answer[:3]
    return Filled(messages, octets, attachments, largest)
