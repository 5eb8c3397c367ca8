"""What a row of the old database is in ours. Pure.

Columns that both have are taken as they are; some have been called otherwise, and what is missing gets the value that
our own rows have where a message says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import getaddresses
from typing import Any, Final

from mailcore.events.identity import MAX_UID
from mailcore.store.row import AttachmentRow, MessageRow

# Our column → what else it has been called, in the order of preference.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "mailbox": ("name", "mailbox_name"),
    "uidvalidity": ("uid_validity",),
    "uidnext": ("uid_next",),
    "last_uid": ("last_seen_uid",),
    "from_email": ("sender", "from_address"),
    "to_emails": ("to", "recipients", "to_addresses"),
    "cc_emails": ("cc", "cc_addresses"),
    "references_ids": ("references",),
    "sent_at": ("date",),
    "received_at": ("internal_date", "internaldate"),
    "stored_at": ("created_at", "created", "fetched_at"),
    "body_text": ("text", "text_body", "body"),
    "body_html": ("html", "html_body"),
    "size": ("size_bytes",),
    "filename": ("name", "original_filename"),
    "content_type": ("mime_type", "mimetype"),
    "inline": ("is_inline",),
}


class NotImportable(ValueError):
    """Why this message has no place among ours."""


def value(row: Mapping[str, Any], column: str) -> Any:
    """What the old row has for our column; None if it has nothing."""
    for name in (column, *ALIASES.get(column, ())):
        if row.get(name) is not None:
            return row[name]
    return None


def number(found: Any) -> int | None:
    """A UID or UIDVALIDITY (RFC 9051, nz-number), or None."""
    try:
        out = int(found)
    except (TypeError, ValueError):
        return None
    return out if 0 < out <= MAX_UID else None


def words(found: Any) -> str:
    """Text that every database takes."""
    if found is None:
        return ""
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace")
    return str(found).replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def moment(found: Any) -> datetime | None:
    """Django keeps UTC; SQLite as text without a zone."""
    if isinstance(found, str):
        try:
            found = datetime.fromisoformat(found)
        except ValueError:
            return None
    if not isinstance(found, datetime):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def names(found: Any) -> tuple[str, ...]:
    """A list: JSON, or the words of a text."""
    return tuple(words(one) for one in _list(found, str.split))


def addresses(found: Any) -> tuple[str, ...]:
    """Addresses: JSON, or a header's text."""
    return tuple(words(one) for one in _list(found, lambda text: [pair[1] for pair in getaddresses([text]) if pair[1]]))


def headers(found: Any) -> tuple[tuple[str, str], ...]:
    """JSON pairs or a JSON object."""
    loaded = _json(found)
    pairs: Iterable[Any] = loaded.items() if isinstance(loaded, dict) else loaded if isinstance(loaded, list) else ()
    out = []
    for pair in pairs:
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            several = pair[1] if isinstance(pair[1], list) else [pair[1]]
            out += [(words(pair[0]), words(one)) for one in several]
    return tuple(out)


def message_row(row: Mapping[str, Any], *, mailbox_id: int, uidvalidity: int | None) -> MessageRow:
    """Without its attachments. `uidvalidity` is that of its mailbox, for rows that have none of their own. Raises
    NotImportable."""
    uid = number(value(row, "uid"))
    generation = number(value(row, "uidvalidity")) or uidvalidity
    if uid is None:
        raise NotImportable("it has no UID")
    if generation is None:
        raise NotImportable("its UIDVALIDITY is not known")
    sent = moment(value(row, "sent_at"))
    stored = moment(value(row, "stored_at"))
    received = moment(value(row, "received_at")) or stored or sent or datetime.fromtimestamp(0, UTC)
    return MessageRow(
        mailbox_id=mailbox_id,
        uidvalidity=generation,
        uid=uid,
        size=_count(value(row, "size")),
        sha256=_sha256(value(row, "sha256")),
        received_at=received,
        stored_at=stored or received,
        sent_at=sent,
        message_id=words(value(row, "message_id")),
        subject=words(value(row, "subject")),
        from_name=words(value(row, "from_name")),
        from_email=words(value(row, "from_email")),
        to_emails=addresses(value(row, "to_emails")),
        cc_emails=addresses(value(row, "cc_emails")),
        reply_to=addresses(value(row, "reply_to")),
        in_reply_to=words(value(row, "in_reply_to")),
        references=names(value(row, "references_ids")),
        flags=names(value(row, "flags")),
        headers=headers(value(row, "headers")),
        body_text=words(value(row, "body_text")),
        body_html=words(value(row, "body_html")),
        defects=names(value(row, "defects")),
    )


def attachment_row(row: Mapping[str, Any], place: int, *, size: int | None, sha256: str) -> AttachmentRow:
    """`place` counts the message's attachments from 1; `size` and `sha256` are those of the file, if it is there."""
    file = words(value(row, "file"))
    return AttachmentRow(
        part_id=words(value(row, "part_id")) or f"imported-{place}",
        filename=words(value(row, "filename")) or file.rpartition("/")[2],
        content_type=words(value(row, "content_type")) or "application/octet-stream",
        size=_count(value(row, "size")) if size is None else size,
        sha256=sha256 or _sha256(value(row, "sha256")),
        content_id=words(value(row, "content_id")),
        inline=value(row, "inline") in (True, 1, "t", "true"),
        file=file,
    )


def _list(found: Any, split: Any) -> list[Any]:
    loaded = _json(found)
    if isinstance(loaded, list):
        return [one for one in loaded if one is not None]
    return list(split(loaded)) if isinstance(loaded, str) else []


def _json(found: Any) -> Any:
    """What the text holds if it is JSON, else the text."""
    if not isinstance(found, str):
        return found
    try:
        return json.loads(found)
    except ValueError:
        return found


def _count(found: Any) -> int:
    try:
        return max(int(found), 0)
    except (TypeError, ValueError):
        return 0


def _sha256(found: Any) -> str:
    text = words(found).lower()
    return text if len(text) == 64 and not text.strip("0123456789abcdef") else ""
