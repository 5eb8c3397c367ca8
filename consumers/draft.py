"""A message's bytes → its row and files. Pure: one event gives the same rows and paths for ever, so a redelivery
overwrites itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

from consumers.spooled import Content, parse_file
from mailcore.events.fields import LISTED
from mailcore.events.identity import Identity
from mailcore.events.message import MessageEvent
from mailcore.events.thin import Rebind, Stored, StoredFile
from mailcore.html.plaintext import readable
from mailcore.mime.model import ParsedAttachment, ParsedMessage
from mailcore.mime.parse import parse
from mailcore.mime.path import attachment_path
from mailcore.store import AttachmentRow, MessageRow, Slot, StoredMessage, Untold

# Characters of HTML, and of its text.
_LOOKED_AT: Final = 1_000_000
_KEPT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Draft:
    """What of a message does not depend on the database. `files` are relative to MEDIA_ROOT; `parsed` holds no
    attachments; `search_text` is set where there is HTML alone."""

    parsed: ParsedMessage
    attachments: tuple[AttachmentRow, ...]
    files: tuple[tuple[PurePosixPath, bytes | Content], ...]
    search_text: str | None = None


def draft(identity: Identity, received_at: datetime, raw: bytes | Path) -> Draft:
    """Parse and name the files. Takes time in proportion to `raw`: not for the event loop. Of a message in a file the
    `files` need that file. Raises OSError when it cannot be read."""
    if isinstance(raw, Path):
        parsed, contents = parse_file(raw)
    else:
        parsed = parse(raw)
        contents = tuple(part.content for part in parsed.attachments)
    files = tuple(
        (attachment_path(identity, received_at, part.part_id, part.filename), content)
        for part, content in zip(parsed.attachments, contents, strict=True)
    )
    rows = tuple(_attachment(part, *file) for part, file in zip(parsed.attachments, files, strict=True))
    search_text = None
    if parsed.body_html and not parsed.body_text.strip():
        search_text = readable(parsed.body_html[:_LOOKED_AT])[:_KEPT]
    return Draft(replace(parsed, attachments=()), rows, files, search_text)


def _attachment(part: ParsedAttachment, path: PurePosixPath, content: bytes | Content) -> AttachmentRow:
    if isinstance(content, bytes):
        size, digest = len(content), sha256(content)
    else:
        size, digest = content.size, sha256()
        for block in content.blocks():
            digest.update(block)
    return AttachmentRow(
        part_id=part.part_id,
        filename=part.filename,
        content_type=part.content_type,
        size=size,
        sha256=digest.hexdigest(),
        content_id=part.content_id,
        inline=part.inline,
        file=str(path),
    )


def message_row(
    event: MessageEvent, drafted: Draft, slot: Slot, stored_at: datetime, stream_seq: int | None = None
) -> MessageRow:
    """`stored_at` is the moment at which its transaction begins, `stream_seq` the event's sequence in its stream."""
    parsed = drafted.parsed
    return MessageRow(
        mailbox_id=slot.mailbox_id,
        uidvalidity=slot.uidvalidity,
        uid=slot.uid,
        size=event.size,
        sha256=event.sha256,
        received_at=event.received_at,
        stored_at=stored_at,
        sent_at=parsed.sent_at,
        message_id=parsed.message_id,
        subject=parsed.subject,
        from_name=parsed.from_name,
        from_email=parsed.from_email,
        to_emails=parsed.to_emails,
        cc_emails=parsed.cc_emails,
        to_names=parsed.to_names,
        cc_names=parsed.cc_names,
        reply_to=parsed.reply_to,
        in_reply_to=parsed.in_reply_to,
        references=parsed.references,
        flags=event.flags,
        headers=parsed.headers,
        body_text=parsed.body_text,
        body_html=parsed.body_html,
        defects=tuple(dict.fromkeys((*event.defects, *parsed.defects))),
        attachments=drafted.attachments,
        pushed_at=event.pushed_at,
        published_at=event.published_at,
        stream_seq=stream_seq,
        kind=event.kind.value,
        found_by=event.found_by.value,
        search_text=drafted.search_text,
        origin=str(event.origin) if event.origin is not None else None,
        email_id=event.email_id,
        thread_id=event.thread_id,
        labels=event.labels,
    )


def stored_event(event: MessageEvent | Rebind | Untold, row: StoredMessage) -> Stored:
    """What is told of a row that is committed, or has its new identity (I7): the first time and at every redelivery."""
    identity = event.identity
    return Stored(
        account=identity.account,
        mailbox=identity.mailbox,
        uidvalidity=identity.uidvalidity,
        uid=identity.uid,
        mailbox_id=event.mailbox_id,
        at=row.stored_at,
        row_id=row.id,
        sha256=row.sha256,
        size=row.size,
        attachments=len(row.attachments),
        defects=row.defects,
        kind=None if isinstance(event, Rebind) else event.kind,
        found_by=None if isinstance(event, Rebind) else event.found_by,
        pushed_at=None if isinstance(event, Rebind) else event.pushed_at,
        published_at=None if isinstance(event, Rebind) else event.published_at,
        rebound_from=event.origin if isinstance(event, Rebind) else None,
        subject=row.subject,
        from_name=row.from_name,
        from_email=row.from_email,
        to_emails=row.to_emails,
        cc_emails=row.cc_emails,
        sent_at=row.sent_at,
        message_id=row.message_id,
        has_text=row.has_text,
        has_html=row.has_html,
        origin=row.origin,
        email_id=row.email_id,
        thread_id=row.thread_id,
        labels=row.labels,
        files=tuple(_file(part) for part in row.attachments[:LISTED]),
        files_truncated=len(row.attachments) > LISTED,
    )


def _file(part: AttachmentRow) -> StoredFile:
    return StoredFile(
        part_id=part.part_id,
        filename=part.filename,
        content_type=part.content_type,
        size=part.size,
        sha256=part.sha256,
        file=part.file,
        inline=part.inline,
    )
