"""Statements on the mail of accounts that were removed together with it: nothing of it stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, exists, select

from mailcore.store.schema import accounts, attachments, mailboxes, messages

_GOES: Final = accounts.c.removed_at.is_not(None) & accounts.c.deletes_mail
# One that was seen later is of another account, which has the name now; one that was never seen may be of either.
_ITS: Final = mailboxes.c.account == accounts.c.name
_BEFORE: Final = mailboxes.c.first_seen_at <= accounts.c.removed_at
_UNSEEN: Final = mailboxes.c.first_seen_at.is_(None)
_FULL: Final = exists(select(messages.c.id).where(messages.c.mailbox_id == mailboxes.c.id))
# The mailboxes that an account (of the statement around it) had when it was removed.
OF_ACCOUNT: Final = select(mailboxes.c.id).where(_ITS, _BEFORE | (_UNSEEN & _FULL))


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message that goes. `files` are paths below MEDIA_ROOT, with slashes."""

    id: int
    files: tuple[str, ...]


def names(connection: Connection) -> set[str]:
    """The accounts whose mail goes, or is gone."""
    return set(connection.execute(select(accounts.c.name).where(_GOES)).scalars())


def under_way(connection: Connection) -> set[str]:
    """Those of them of which something is left."""
    return set(connection.execute(select(accounts.c.name).where(_GOES, exists(OF_ACCOUNT))).scalars())


def next_messages(connection: Connection, limit: int) -> list[Deleted]:
    """Up to `limit` of their messages, whatever became of these."""
    mailbox_ids = list(connection.execute(OF_ACCOUNT.where(_GOES)).scalars())
    query = select(messages.c.id).where(messages.c.mailbox_id.in_(mailbox_ids)).limit(limit)
    row_ids = list(connection.execute(query).scalars()) if mailbox_ids else []
    files: defaultdict[int, list[str]] = defaultdict(list)
    parts = select(attachments.c.message_id, attachments.c.file).where(attachments.c.message_id.in_(row_ids))
    for message_id, file in connection.execute(parts):
        files[message_id].append(file)
    return [Deleted(row_id, tuple(files[row_id])) for row_id in row_ids]


def delete_messages(connection: Connection, row_ids: Sequence[int]) -> None:
    """With what refers to them."""
    connection.execute(delete(messages).where(messages.c.id.in_(row_ids)))


def delete_mailboxes(connection: Connection, account: str) -> bool:
    """Those of an account whose mail goes that have no messages any more. Whether there were some."""
    its = select(mailboxes.c.id).join(accounts, _ITS).where(_GOES, accounts.c.name == account, _BEFORE | _UNSEEN)
    return bool(
        connection.execute(delete(mailboxes).where(mailboxes.c.id.in_(its), ~_FULL).returning(mailboxes.c.id)).all()
    )
