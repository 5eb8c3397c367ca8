"""Statements of retention: what a message held goes, its row stays.

Its identity, size, hash and times are what the sweep, redeliveries and a new UIDVALIDITY look for (I3, I4, I7): a row
that was deleted would be missing, and be fetched again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, update

from mailcore.store.schema import attachments, messages

_EMPTY: Final[dict[str, Any]] = {
    "has_attachments": False,
    "sent_at": None,
    "message_id": "",
    "subject": "",
    "from_name": "",
    "from_email": "",
    "to_emails": [],
    "cc_emails": [],
    "reply_to": [],
    "in_reply_to": "",
    "references_ids": [],
    "flags": [],
    "headers": [],
    "body_text": "",
    "body_html": "",
    "search_text": None,
    "to_names": None,
    "cc_names": None,
    "labels": None,
    "search_parts": "",
}


@dataclass(frozen=True, slots=True)
class Outdated:
    """A row whose time has come. `files` are paths below MEDIA_ROOT, with slashes; `size` is bytes of the message."""

    id: int
    size: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Messages: `due` of the `kept` ones, those that hold anything yet."""

    due: int
    kept: int


def share(connection: Connection, before: datetime) -> Share:
    """How many of all were stored before then."""
    kept = select(func.count()).select_from(messages).where(messages.c.pruned_at.is_(None))
    due = kept.where(messages.c.stored_at < before)
    return Share(connection.execute(due).scalar_one(), connection.execute(kept).scalar_one())


def outdated(connection: Connection, before: datetime, limit: int) -> list[Outdated]:
    """Up to `limit` that were stored before then and hold anything yet, the oldest first."""
    query = (
        select(messages.c.id, messages.c.size)
        .where(messages.c.pruned_at.is_(None), messages.c.stored_at < before)
        .order_by(messages.c.stored_at)
        .limit(limit)
    )
    sizes = {row.id: row.size for row in connection.execute(query)}
    files: defaultdict[int, list[str]] = defaultdict(list)
    parts = select(attachments.c.message_id, attachments.c.file).where(attachments.c.message_id.in_(sizes))
    for message_id, file in connection.execute(parts.order_by(attachments.c.id)):
        files[message_id].append(file)
    return [Outdated(row_id, size, tuple(files[row_id])) for row_id, size in sizes.items()]


def prune(connection: Connection, row_ids: Sequence[int], at: datetime) -> None:
    """Empty these rows; those of their attachments go."""
    connection.execute(delete(attachments).where(attachments.c.message_id.in_(row_ids)))
    connection.execute(
        update(messages)
        .where(messages.c.id.in_(row_ids), messages.c.pruned_at.is_(None))
        .values(pruned_at=at, **_EMPTY)
    )
