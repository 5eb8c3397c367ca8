"""The database: SQLite or PostgreSQL through SQLAlchemy Core."""

from mailcore.store.row import (
    AttachmentRow,
    MailboxColumns,
    MailboxState,
    MessageRow,
    Move,
    Place,
    Slot,
    StoredMessage,
    StoredOrigin,
)
from mailcore.store.store import Store

__all__ = [
    "AttachmentRow",
    "MailboxColumns",
    "MailboxState",
    "MessageRow",
    "Move",
    "Place",
    "Slot",
    "Store",
    "StoredMessage",
    "StoredOrigin",
]
