"""The thin events of the stream MAIL_EVENTS, and `rebind`, the one thin event of the stream MAIL.

Their JSON Schemas in docs/schemas/ are made from these classes and a test holds them together.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from mailcore.errors import EventError
from mailcore.events import subject as subjects
from mailcore.events.fields import LISTED, Address, Addresses, Count, ErrorText, Modseq, Name, Number, Text, first
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import MAILBOX_ID, SPEC_VERSION, FoundBy, Kind, ce_type, stamp


class ThinEvent(BaseModel):
    """What all thin events share: where it happened and when."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)
    type: ClassVar[str]

    account: str
    mailbox: str
    at: AwareDatetime

    @property
    def key(self) -> MailboxKey:
        return MailboxKey(self.account, self.mailbox)

    @property
    def id(self) -> str:
        """The stable event id: the identity with the type appended."""
        raise NotImplementedError

    @property
    def nats_subject(self) -> str:
        return subjects.subject(self.key, self.type)

    def headers(self) -> dict[str, str]:
        name = self.id
        return {
            "Nats-Msg-Id": name,
            "ce-specversion": SPEC_VERSION,
            "ce-id": name,
            "ce-type": ce_type(self.type),
            "ce-source": self.key.source,
            "ce-time": stamp(self.at),
            "content-type": "application/json",
        }

    def payload(self) -> bytes:
        return self.model_dump_json().encode()


class _MessageFact(ThinEvent):
    """`mailbox_id` is the row of the mailbox, which stays when the mailbox is renamed; 0 in events of before."""

    uidvalidity: Number
    uid: Number
    mailbox_id: Count = 0

    @property
    def identity(self) -> Identity:
        return Identity(self.account, self.mailbox, self.uidvalidity, self.uid)

    @property
    def id(self) -> str:
        return f"{self.identity}/{self.type}"

    def headers(self) -> dict[str, str]:
        return super().headers() | ({MAILBOX_ID: str(self.mailbox_id)} if self.mailbox_id else {})


class Origin(BaseModel):
    """Where a message was before its mailbox got a new UIDVALIDITY."""

    model_config = ConfigDict(frozen=True)
    uidvalidity: Number
    uid: Number


class StoredFile(BaseModel):
    """An attachment. `filename` is as the sender wrote it, `file` its path below MEDIA_ROOT."""

    model_config = ConfigDict(frozen=True)
    part_id: Name
    filename: Name
    content_type: Name
    size: Count
    sha256: str
    file: str
    inline: bool


class Stored(_MessageFact):
    """The row is committed and its files are on disk. `at` is that moment. `rebound_from` is set when no new mail
    arrived: an old row was bound to the identity that a UIDVALIDITY change gave it. `origin` is the identity that had
    the bytes of a copy first. `email_id`, `thread_id` and `labels` are as in the message's event. Of addresses, labels
    and files the first 100 are named, long texts are cut."""

    type: ClassVar[str] = "stored"
    row_id: int
    sha256: str
    size: Count
    attachments: Count
    defects: tuple[str, ...] = ()
    kind: Kind | None = None
    found_by: FoundBy | None = None
    pushed_at: AwareDatetime | None = None
    published_at: AwareDatetime | None = None
    rebound_from: Origin | None = None
    subject: Text = ""
    from_name: Text = ""
    from_email: Address = ""
    to_emails: Addresses = ()
    cc_emails: Addresses = ()
    sent_at: AwareDatetime | None = None
    message_id: Text = ""
    has_text: bool = False
    has_html: bool = False
    origin: str | None = None
    email_id: str | None = None
    thread_id: str | None = None
    labels: Annotated[tuple[Name, ...], first(LISTED)] | None = None
    files: Annotated[tuple[StoredFile, ...], first(LISTED)] = ()
    files_truncated: bool = False


class Flags(_MessageFact):
    """The flags of the message are others than its row has: `flags` are all of them, `added` and `removed` is what
    became of the row's. `modseq` is that of the change (RFC 7162), null where the server tells none."""

    type: ClassVar[str] = "flags"
    flags: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    modseq: Modseq | None = None

    @property
    def id(self) -> str:
        """A message may change back and forth within the stream's duplicate window."""
        change = self.modseq or stamp(self.at)
        return f"{self.identity}/{change}/{self.type}"


class Expunged(_MessageFact):
    """The message is no longer on the server; its row stays, with `expunged_at`."""

    type: ClassVar[str] = "expunged"


class Dead(_MessageFact):
    """The message could not be stored; its bytes and this error are in the stream MAIL_DEAD."""

    type: ClassVar[str] = "dead"
    error: ErrorText
    deliveries: Count = 0


class Rebind(_MessageFact):
    """Bind the row of `origin` to this identity: the same bytes under a new UIDVALIDITY (I7)."""

    type: ClassVar[str] = "rebind"
    origin: Origin
    sha256: str


class Reset(ThinEvent):
    """The mailbox has a new UIDVALIDITY (RFC 9051 §2.3.1.1): a new generation of UIDs begins."""

    type: ClassVar[str] = "reset"
    old_uidvalidity: Number
    uidvalidity: Number

    @property
    def id(self) -> str:
        return f"{self.key}/{self.uidvalidity}/{self.type}"


class _MailboxFact(ThinEvent):
    """What happened to a mailbox at that moment. `mailbox` is its name from then on."""

    mailbox_id: Count = 0

    @property
    def id(self) -> str:
        return f"{self.key}/{stamp(self.at)}/{self.type}"


class MailboxCreated(_MailboxFact):
    """A mailbox is synced from now on that was not there before, or that was not asked for."""

    type: ClassVar[str] = "mailbox-created"


class MailboxRenamed(_MailboxFact):
    """RENAME (RFC 9051 §6.3.6): its rows keep their ids, and none of its messages is announced again."""

    type: ClassVar[str] = "mailbox-renamed"
    old: str
    new: str


class MailboxDeleted(_MailboxFact):
    """The mailbox is not on the server any more; its messages were announced as expunged."""

    type: ClassVar[str] = "mailbox-deleted"


class AccountState(ThinEvent):
    """An account can be logged in to or not, was paused by a person, or removed. `reason` is in words, `since` is when
    it became so. `mailbox` is always `_`: it speaks of all of them."""

    type: ClassVar[str] = "account"
    mailbox: str = "_"
    state: Literal["ok", "failing", "paused", "removed"]
    reason: ErrorText = ""
    since: AwareDatetime

    @property
    def id(self) -> str:
        return f"{self.key}/{stamp(self.at)}/{self.type}"


class Synced(ThinEvent):
    """One reconciliation of one mailbox ended."""

    type: ClassVar[str] = "synced"
    run_id: str
    status: Literal["ok", "failed"]
    found_by: FoundBy
    found: Count = 0
    published: Count = 0
    stored: Count = 0
    expunged: Count = 0
    duration_ms: Count = 0
    error: ErrorText = ""

    @property
    def id(self) -> str:
        return f"{self.key}/{self.run_id}/{self.type}"


TYPES: dict[str, type[ThinEvent]] = {
    cls.type: cls
    for cls in (
        *(Stored, Flags, Expunged, Dead, Rebind, Reset, Synced),
        *(MailboxCreated, MailboxRenamed, MailboxDeleted, AccountState),
    )
}


def decode_thin(kind: str, payload: bytes) -> ThinEvent:
    """`kind` is the last token of the subject; raises EventError."""
    try:
        cls = TYPES[kind]
    except KeyError:
        raise EventError(f"no such event type: {kind[:80]!r}") from None
    try:
        return cls.model_validate_json(payload)
    except ValidationError as error:
        raise EventError(f"not a {kind} event: {error.errors(include_input=False, include_url=False)}") from error
