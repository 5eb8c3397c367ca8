"""What a comparison of rows and files reads: every attachment, in pages."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from mailcore.store.schema import attachments


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One attachment's row. `file` is the path below MEDIA_ROOT, with slashes; `size` is bytes."""

    id: int
    message_id: int
    size: int
    sha256: str
    file: str


def files(connection: Connection, after: int, limit: int) -> list[StoredFile]:
    """The next `limit` of them by id, also those of messages that were expunged: their files stay."""
    columns = attachments.c
    query = (
        select(columns.id, columns.message_id, columns.size, columns.sha256, columns.file)
        .where(columns.id > after)
        .order_by(columns.id)
        .limit(limit)
    )
    return [StoredFile(*row) for row in connection.execute(query)]


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(attachments)).scalar_one()
