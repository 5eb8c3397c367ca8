"""The events that carry a message: CloudEvents 1.0 in binary mode, facts in the headers, RFC 5322 bytes as payload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote

from mailcore.errors import EventError
from mailcore.events.identity import Identity
from mailcore.events.subject import subject

SPEC_VERSION: Final = "1.0"
BODY_BUCKET: Final = "mail-bodies"
PUSHED_AT: Final = "ce-pushedat"
_DATAREF: Final = f"nats-object://{BODY_BUCKET}/"
DEFECTS: Final = "mozzart-defects"
MAILBOX_ID: Final = "mozzart-mailbox-id"
ORIGIN: Final = "mozzart-origin"
EMAIL_ID: Final = "mozzart-email-id"
THREAD_ID: Final = "mozzart-thread-id"
LABELS: Final = "mozzart-labels"
_DEFECTS: Final = re.compile(r"[a-z0-9-]+(,[a-z0-9-]+)*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FLAGS_BYTES: Final = 16 << 10  # a message with more keywords than this names the first ones only

SIZE_DIFFERS: Final = "size-differs"
INTERNALDATE_INVALID: Final = "internaldate-invalid"
MEANINGS: Final = {
    SIZE_DIFFERS: "RFC822.SIZE is another number than the message has bytes",
    INTERNALDATE_INVALID: "INTERNALDATE is no date; the time of receipt is the Date field's, or that of fetching",
}
"""The defects that show when a message is fetched, as those of `mailcore.mime.defects` show when it is parsed. The
names are stored: they may be added to, not changed."""


class Kind(StrEnum):
    """`new` arrived since the account was first seen, `backfill` was there before; `copy` has bytes that the account
    has already under another identity."""

    NEW = "new"
    BACKFILL = "backfill"
    COPY = "copy"


class FoundBy(StrEnum):
    """What made the syncer ask the server."""

    PUSH = "push"
    SWEEP = "sweep"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One message found on the server.

    `size` and `sha256` are those of the whole RFC 5322 bytes. `body` is those bytes, or empty when they lie in the
    object store under `object_name` (claim check). `pushed_at` is when the server's hint came (or the sweep that found
    it began), `published_at` when the event was made. Times are aware, in UTC. `defects` are names out of MEANINGS.
    `mailbox_id` is the row of the mailbox, which stays when the mailbox is renamed; 0 in events of before.
    `origin` is the identity that had the bytes of a copy first, None for the other kinds. `email_id` and `thread_id`
    are what the server calls the bytes and their thread in all mailboxes, `labels` are Gmail's; None where it does not
    tell.
    """

    identity: Identity
    kind: Kind
    found_by: FoundBy
    size: int
    sha256: str
    received_at: datetime
    pushed_at: datetime
    published_at: datetime
    flags: tuple[str, ...] = ()
    body: bytes = b""
    object_name: str = ""
    defects: tuple[str, ...] = ()
    mailbox_id: int = 0
    origin: Identity | None = None
    email_id: str | None = None
    thread_id: str | None = None
    labels: tuple[str, ...] | None = None

    @property
    def nats_subject(self) -> str:
        return subject(self.identity.key, self.kind.value)

    def headers(self) -> dict[str, str]:
        """NATS headers; every value is printable ASCII."""
        key = self.identity.key
        identity = str(self.identity)
        out = {
            "Nats-Msg-Id": identity,
            "ce-specversion": SPEC_VERSION,
            "ce-id": identity,
            "ce-type": ce_type(self.kind.value),
            "ce-source": key.source,
            "ce-subject": f"{self.identity.uidvalidity}/{self.identity.uid}",
            "ce-time": stamp(self.published_at),
            "content-type": "message/rfc822",
            "ce-foundby": self.found_by.value,
            "ce-size": str(self.size),
            "ce-sha256": self.sha256,
            "ce-receivedat": stamp(self.received_at),
            PUSHED_AT: stamp(self.pushed_at),
            "ce-flags": _join_flags(self.flags),
        }
        if self.object_name:
            out["ce-dataref"] = dataref(self.object_name)
        if self.defects:
            out[DEFECTS] = ",".join(self.defects)
        if self.mailbox_id:
            out[MAILBOX_ID] = str(self.mailbox_id)
        if self.origin is not None:
            out[ORIGIN] = str(self.origin)
        if self.email_id is not None:
            out[EMAIL_ID] = self.email_id
        if self.thread_id is not None:
            out[THREAD_ID] = self.thread_id
        if self.labels is not None:
            out[LABELS] = _join_flags(self.labels)
        return out

    @classmethod
    def decode(cls, headers: Mapping[str, str], body: bytes) -> MessageEvent:
        """The inverse of `headers()` and `body`; raises EventError that names the header at fault."""
        kind = kind_of(_required(headers, "ce-type"))
        dataref = headers.get("ce-dataref", "")
        if dataref and not dataref.startswith(_DATAREF):
            raise EventError(f"ce-dataref names no object of ours: {dataref[:200]!r}")
        sha256 = _required(headers, "ce-sha256")
        if not _SHA256.fullmatch(sha256):
            raise EventError(f"ce-sha256 is no SHA-256: {sha256[:80]!r}")
        defects = headers.get(DEFECTS, "")
        if defects and not _DEFECTS.fullmatch(defects):
            raise EventError(f"{DEFECTS} is no list of words: {defects[:200]!r}")
        try:
            event = cls(
                identity=Identity.parse(_required(headers, "ce-id")),
                kind=Kind(kind),
                found_by=FoundBy(_required(headers, "ce-foundby")),
                size=int(_required(headers, "ce-size")),
                sha256=sha256,
                received_at=parse_stamp(_required(headers, "ce-receivedat")),
                pushed_at=parse_stamp(_required(headers, PUSHED_AT)),
                published_at=parse_stamp(_required(headers, "ce-time")),
                flags=_split_flags(headers.get("ce-flags", "")),
                body=body,
                object_name=unquote(dataref.removeprefix(_DATAREF)),
                defects=tuple(defects.split(",")) if defects else (),
                mailbox_id=int(headers.get(MAILBOX_ID, "0")),
                origin=Identity.parse(_required(headers, ORIGIN)) if kind == Kind.COPY else None,
                email_id=headers.get(EMAIL_ID),
                thread_id=headers.get(THREAD_ID),
                labels=_split_flags(headers[LABELS]) if LABELS in headers else None,
            )
        except ValueError as error:
            raise EventError(f"not a message event: {error}") from error
        if event.size < 0 or (not event.object_name and event.size != len(body)):
            raise EventError(f"{event.identity}: ce-size says {event.size} bytes, the payload has {len(body)}")
        return event


def sha256_of(headers: Mapping[str, str]) -> str:
    """That of the message which an event carries; "" where it names none."""
    text = headers.get("ce-sha256", "")
    return text if _SHA256.fullmatch(text) else ""


def origin_of(headers: Mapping[str, str]) -> Identity | None:
    """The identity that had the bytes of a copy first, None where there is none. Raises EventError."""
    return Identity.parse(headers[ORIGIN]) if ORIGIN in headers else None


def dataref(object_name: str) -> str:
    """The claim check of an object in the bucket `mail-bodies`."""
    return _DATAREF + quote(object_name, safe="")


def ce_type(kind: str) -> str:
    """The CloudEvents type of an event of ours; its version changes when a reader of the old one would fail."""
    return f"mozzart.mail.{kind}.v1"


def kind_of(text: str) -> str:
    """The inverse of `ce_type`; raises EventError for any other type or version."""
    kind = text.removeprefix("mozzart.mail.").removesuffix(".v1")
    if ce_type(kind) != text:
        raise EventError(f"not an event type of ours: {text[:200]!r}")
    return kind


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_stamp(text: str) -> datetime:
    """The inverse of `stamp`; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return moment.astimezone(UTC)


def _join_flags(flags: tuple[str, ...]) -> str:
    out: list[str] = []
    room = _FLAGS_BYTES
    for flag in flags:
        quoted = quote(flag, safe="\\$", errors="surrogatepass")
        room -= len(quoted) + 1
        if room < 0:
            break
        out.append(quoted)
    return " ".join(out)


def _split_flags(text: str) -> tuple[str, ...]:
    return tuple(unquote(flag, errors="surrogatepass") for flag in text.split(" ") if flag)


def _required(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers[name]
    except KeyError:
        raise EventError(f"not a message event: the header {name} is missing") from None
