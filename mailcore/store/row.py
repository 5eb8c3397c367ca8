"""What goes into the database and what comes out of it. Times are aware, in UTC; sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from mailcore.events.identity import Identity
from mailcore.events.message import FoundBy, Kind


class Refused(TypedDict):
    """A message that the server lists and does not give. `reason` is in the server's words where it had any; `since`
    and `next_try` are RFC 3339 in UTC, `tries` is how often it was asked for."""

    uid: int
    reason: str
    since: str
    tries: int
    next_try: str


class MailboxColumns(TypedDict, total=False):
    """The columns that `Store.save_mailbox` can set."""

    uidvalidity: int | None
    uidnext: int | None
    highestmodseq: int | None
    last_uid: int | None
    message_count: int
    stored_count: int
    sweep_found_missed: int
    first_seen_at: datetime | None
    first_uidvalidity: int | None
    first_uidnext: int | None
    last_push_at: datetime | None
    last_sync_at: datetime | None
    last_sync_status: str
    last_error: str
    last_error_at: datetime | None
    refused: Sequence[Refused]
    objectid: str
    deleted_at: datetime | None
    flags_modseq: int | None


@dataclass(frozen=True, slots=True)
class MailboxState:
    """One mailbox. `first_seen_at` and `first_uidvalidity` tell when and in which generation we first saw it;
    `first_uidnext` is UIDNEXT at the start of the generation `uidvalidity`: UIDs from there on have arrived since.

    `flags_modseq`: the rows of that generation follow every change of flags up to this MODSEQ; None where nobody knows.

    `last_sync_status` is `ok`, `running` (something that is listed is still to be fetched), `incomplete` (something is
    refused, or the look was not whole), `failed`, or empty before the first sweep. `refused` has 1,000 entries at
    most. `objectid` is its MAILBOXID (RFC 8474), empty where the server tells none; `deleted_at` is when it was found
    to be no more."""

    id: int
    account: str
    mailbox: str
    uidvalidity: int | None = None
    uidnext: int | None = None
    highestmodseq: int | None = None
    last_uid: int | None = None
    message_count: int = 0
    stored_count: int = 0
    sweep_found_missed: int = 0
    first_seen_at: datetime | None = None
    first_uidvalidity: int | None = None
    first_uidnext: int | None = None
    last_push_at: datetime | None = None
    last_sync_at: datetime | None = None
    last_sync_status: str = ""
    last_error: str = ""
    last_error_at: datetime | None = None
    refused: tuple[Refused, ...] = ()
    objectid: str = ""
    deleted_at: datetime | None = None
    flags_modseq: int | None = None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account of the database. `secrets` are encrypted (mailcore/secrets.py). `removed_at` is when it was removed;
    settings and secrets are empty since, and its mail goes, too, if it `deletes_mail`."""

    id: int
    name: str
    settings: Mapping[str, Any]
    secrets: str = field(repr=False)
    added_at: datetime
    changed_at: datetime
    paused_at: datetime | None = None
    removed_at: datetime | None = None
    deletes_mail: bool = False


class VerifyColumns(TypedDict, total=False):
    """The columns that `Store.begin_verify` and `Store.save_verify` can set."""

    started_at: datetime
    ended_at: datetime | None
    by: str
    account: str | None
    mailbox: str | None
    deep: bool
    status: str
    totals: Mapping[str, int]
    findings: Sequence[Mapping[str, Any]]
    failed: Mapping[str, str]
    error: str
    position: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PresentDigest:
    """A message that is stored and not expunged: the size and SHA-256 of its bytes."""

    uid: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """One run of `mozzart verify`. `by` is `command` or `verifier`; `account` and `mailbox` are what alone was looked
    at.

    `status` is `running`, `equal`, `differs`, `incomplete` (nothing differs, and something could not be compared),
    `failed` (nothing was compared, `error` says why) or `interrupted`. `totals` are by category, of those that were
    looked for; `findings` are the first of them; `failed` is what could not be compared, with the reason. In a list
    `findings` and `position` are left out."""

    id: int
    started_at: datetime
    by: str
    deep: bool
    status: str
    ended_at: datetime | None = None
    account: str | None = None
    mailbox: str | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    position: Mapping[str, Any] | None = None

    @property
    def whole(self) -> bool:
        """Whether it came to its end and left no account out."""
        return self.account is None and self.mailbox is None and self.status in ("equal", "differs", "incomplete")


@dataclass(frozen=True, slots=True)
class StoredOrigin:
    """A message that is stored under another UIDVALIDITY than the present one (I7)."""

    sha256: str
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class StoredDigest:
    """What bytes a message has, also one that was expunged or pruned. `origin` is the identity that had them first, in
    text; None unless the message is a copy."""

    sha256: str
    uidvalidity: int
    uid: int
    origin: str | None


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """`file` is the path below MEDIA_ROOT, with slashes."""

    part_id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    content_id: str
    inline: bool
    file: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message as it is to be stored. No string holds NUL or a lone surrogate (PostgreSQL takes neither).
    `to_names` and `cc_names` are the display names of `to_emails` and `cc_emails`, one for each; None: nobody knows.

    `pushed_at` to `found_by` are those of the event, `stream_seq` its sequence in its stream; `search_text` is what is
    searched instead of `body_text`, if set. `origin` is the identity, in text, that had the bytes of a copy first.
    `email_id` to `labels` are as in the event.
    """

    mailbox_id: int
    uidvalidity: int
    uid: int
    size: int
    sha256: str
    received_at: datetime
    stored_at: datetime
    sent_at: datetime | None = None
    message_id: str = ""
    subject: str = ""
    from_name: str = ""
    from_email: str = ""
    to_emails: tuple[str, ...] = ()
    cc_emails: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body_text: str = ""
    body_html: str = ""
    defects: tuple[str, ...] = ()
    attachments: tuple[AttachmentRow, ...] = ()
    pushed_at: datetime | None = None
    published_at: datetime | None = None
    stream_seq: int | None = None
    kind: str | None = None
    found_by: str | None = None
    search_text: str | None = None
    origin: str | None = None
    to_names: tuple[str, ...] | None = None
    cc_names: tuple[str, ...] | None = None
    email_id: str | None = None
    thread_id: str | None = None
    labels: tuple[str, ...] | None = None

    @property
    def slot(self) -> Slot:
        return Slot(self.mailbox_id, self.uidvalidity, self.uid)

    def stored(self, row_id: int, at: datetime) -> StoredMessage:
        """As it is once it is committed."""
        return StoredMessage(
            id=row_id,
            size=self.size,
            sha256=self.sha256,
            stored_at=at,
            expunged_at=None,
            defects=self.defects,
            subject=self.subject,
            from_name=self.from_name,
            from_email=self.from_email,
            to_emails=self.to_emails,
            cc_emails=self.cc_emails,
            sent_at=self.sent_at,
            message_id=self.message_id,
            has_text=bool(self.body_text),
            has_html=bool(self.body_html),
            origin=self.origin,
            email_id=self.email_id,
            thread_id=self.thread_id,
            labels=self.labels,
            attachments=self.attachments,
        )


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The identity (I1) as the database has it: the mailbox is its row id."""

    mailbox_id: int
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """What a `stored` event tells of a row that is committed. `has_text` and `has_html` are whether it has such a
    body; `origin` is the identity, in text, that had the bytes of a copy first."""

    id: int
    size: int
    sha256: str
    stored_at: datetime
    expunged_at: datetime | None
    defects: tuple[str, ...]
    subject: str
    from_name: str
    from_email: str
    to_emails: tuple[str, ...]
    cc_emails: tuple[str, ...]
    sent_at: datetime | None
    message_id: str
    has_text: bool
    has_html: bool
    origin: str | None
    email_id: str | None
    thread_id: str | None
    labels: tuple[str, ...] | None
    attachments: tuple[AttachmentRow, ...]


@dataclass(frozen=True, slots=True)
class Untold:
    """A row of which `stored` may never have been told, and what its event said."""

    identity: Identity
    mailbox_id: int
    kind: Kind
    found_by: FoundBy
    pushed_at: datetime
    published_at: datetime
    row: StoredMessage


@dataclass(frozen=True, slots=True)
class RowFlags:
    """The flags of a row, and when they became so; None: it was stored with them."""

    flags: tuple[str, ...]
    flags_at: datetime | None


@dataclass(frozen=True, slots=True)
class Move:
    """Give the row of `origin` the identity `target`; both are in one mailbox."""

    origin: Slot
    target: Slot


@dataclass(frozen=True, slots=True)
class Location:
    """Where a message belongs, and what is there already."""

    slot: Slot
    stored: StoredMessage | None


@dataclass(frozen=True)
class KeptToken:
    """The tokens of one account, encrypted. `configuration` is a hash of what they belong to; `refresh_token` is ""
    where the grant knows none."""

    account: str
    configuration: str
    refresh_token: str = field(repr=False)
    access_token: str = field(repr=False)
    replaced_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeptBudget:
    """What an account has fetched: bytes by the hour since 1970, and how many older messages had how many bytes."""

    account: str
    hours: tuple[tuple[int, int], ...]
    messages: int
    octets: int
