"""The database: SQLite or PostgreSQL through SQLAlchemy Core."""

from mailcore.store.page import (
    AttachmentDetail,
    Cursor,
    ListedMessage,
    MessageDetail,
    MessageFilter,
    MessagePage,
    MessageSummary,
    StoredAt,
)
from mailcore.store.row import (
    AttachmentRow,
    Location,
    MailboxColumns,
    MailboxState,
    MessageRow,
    Move,
    Refused,
    RowFlags,
    Slot,
    StoredDigest,
    StoredMessage,
    StoredOrigin,
    VerifyReport,
)
from mailcore.store.store import Store

__all__ = [
    "AttachmentDetail",
    "AttachmentRow",
    "Cursor",
    "ListedMessage",
    "Location",
    "MailboxColumns",
    "MailboxState",
    "MessageDetail",
    "MessageFilter",
    "MessagePage",
    "MessageRow",
    "MessageSummary",
    "Move",
    "Refused",
    "RowFlags",
    "Slot",
    "Store",
    "StoredAt",
    "StoredDigest",
    "StoredMessage",
    "StoredOrigin",
    "VerifyReport",
]
