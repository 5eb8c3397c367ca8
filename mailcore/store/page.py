"""What is read of stored messages. Times are aware, in UTC; sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import zip_longest

from mailcore.imap.flag import ANSWERED, FLAGGED, SEEN
from mailcore.mime.address import address_text


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """All that is set must hold. `since` is inclusive, `until` exclusive, both of the time of receipt; `stored_since`
    is inclusive. `query` is what was typed (mailcore/store/query.py); `sender`, `recipients` and `subject` are words in
    the sender's name and address, in To and Cc, and in the subject. `message_id` is a whole Message-ID, with or without
    its angle brackets; `expunged` is whether the server no longer has the message; `seen`, `flagged` and `answered` are
    its flags. `zone` is the one of the days in `query`."""

    account: str | None = None
    mailbox: str | None = None
    sender: str = ""
    since: datetime | None = None
    until: datetime | None = None
    has_attachments: bool | None = None
    query: str = ""
    expunged: bool | None = None
    seen: bool | None = None
    flagged: bool | None = None
    answered: bool | None = None
    message_id: str = ""
    recipients: str = ""
    subject: str = ""
    stored_since: datetime | None = None
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last message of a page: the next one begins behind it."""

    received_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class MessageSummary:
    """A line of a list."""

    id: int
    account: str
    mailbox: str
    uidvalidity: int
    uid: int
    message_id: str
    subject: str
    from_name: str
    from_email: str
    to_emails: tuple[str, ...]
    received_at: datetime
    sent_at: datetime | None
    stored_at: datetime
    expunged_at: datetime | None
    size: int
    flags: tuple[str, ...]
    flags_at: datetime | None
    has_attachments: bool

    @property
    def seen(self) -> bool:
        return SEEN in self.flags

    @property
    def flagged(self) -> bool:
        return FLAGGED in self.flags

    @property
    def answered(self) -> bool:
        return ANSWERED in self.flags


@dataclass(frozen=True, slots=True)
class ListedMessage(MessageSummary):
    """With the names of the first 20 attachments that do not stand in its text, each cut at 200 characters, and, where
    snippets were asked for, the beginning of its text in one line."""

    attachment_names: tuple[str, ...]
    snippet: str | None


@dataclass(frozen=True, slots=True)
class MessagePage:
    """In the order asked for; `next` is None on the last page."""

    messages: tuple[ListedMessage, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class AttachmentDetail:
    """`filename` is the sender's; `file` is relative to MEDIA_ROOT."""

    id: int
    message_id: int
    part_id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    content_id: str
    inline: bool
    file: str


@dataclass(frozen=True, slots=True)
class MessageThread:
    """Messages that answer each other, the oldest first: of `count` at most 50, around the one that was asked for.
    `cut`: there may be more than were counted."""

    messages: tuple[MessageSummary, ...]
    count: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Portion:
    """So much of what may be long in a message: characters of its text, of its HTML, and of its headers in JSON."""

    text: int = 0
    html: int = 0
    headers: int = 0


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """Everything of one message. `to_names` and `cc_names` are the display names of `to_emails` and `cc_emails`, one
    for each; None where it was stored before these were. `kind` to `stream_seq` (its sequence in its stream) tell its
    way; None where nobody told. `origin` is the identity, in text, that had the bytes of a copy first.
    `email_id` and `thread_id` are what the server calls the bytes and their thread in all mailboxes, `labels` Gmail's
    as they were when it was fetched; None where it does not tell."""

    summary: MessageSummary
    cc_emails: tuple[str, ...]
    reply_to: tuple[str, ...]
    in_reply_to: str
    references: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    body_text: str
    body_html: str
    sha256: str
    defects: tuple[str, ...]
    kind: str | None
    found_by: str | None
    pushed_at: datetime | None
    published_at: datetime | None
    stream_seq: int | None
    origin: str | None
    to_names: tuple[str, ...] | None
    cc_names: tuple[str, ...] | None
    email_id: str | None
    thread_id: str | None
    labels: tuple[str, ...] | None
    attachments: tuple[AttachmentDetail, ...]

    @property
    def to(self) -> list[str]:
        """`Anna <anna@example.org>`, or the addresses alone where nobody knows more."""
        return _with_names(self.summary.to_emails, self.to_names)

    @property
    def cc(self) -> list[str]:
        """As `to`."""
        return _with_names(self.cc_emails, self.cc_names)


def _with_names(emails: tuple[str, ...], names: tuple[str, ...] | None) -> list[str]:
    return [address_text(name, email) for name, email in zip_longest(names or (), emails, fillvalue="")][: len(emails)]


@dataclass(frozen=True, slots=True)
class StoredAt:
    """When a message was stored, and when the server's hint of it had come."""

    stored_at: datetime
    pushed_at: datetime | None
    kind: str | None
    size: int
