"""The messages of an account that answer each other.

A message belongs to those whose Message-ID it names (In-Reply-To, References), and to all that begin with the same
one: the first of References, else In-Reply-To (RFC 5322 §3.6.4). So an answer is found also when the message between is
not here, as one's own often are not. An index has these beginnings (migration 0011).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Text, literal_column, select, union

from mailcore.store.page import MessageThread
from mailcore.store.reading import summaries
from mailcore.store.schema import mailboxes, messages

_SHOWN: Final = 50
_MOST: Final = 1_000  # that are looked at, and Message-IDs that are looked for
_REFERENCES: Final = 50  # of one message: the first, and the last ones
_ROUNDS: Final = 5
INDEX: Final = "mailbox_app_mailmessage_thread_idx"
# As in migration 0011, letter by letter.
ROOT: Final[dict[str, ColumnElement[str]]] = {
    "sqlite": literal_column("coalesce(json_extract(references_ids, '$[0]'), nullif(in_reply_to, ''))", Text),
    "postgresql": literal_column("coalesce(references_ids ->> 0, nullif(in_reply_to, ''))", Text),
}
_kept: Final = messages.c.pruned_at.is_(None)


@dataclass(frozen=True, slots=True)
class _Found:
    id: int
    mailbox_id: int
    message_id: str
    sha256: str
    received_at: datetime
    root: str | None


def thread(connection: Connection, message_id: int) -> MessageThread:
    """That of the message with this row id, the oldest first; nothing when there is no such message."""
    facts = _facts(connection)
    query = select(*facts, messages.c.in_reply_to, messages.c.references_ids).where(messages.c.id == message_id, _kept)
    row = connection.execute(query).one_or_none()
    if row is None:
        return MessageThread((), 0, False)
    references = [one for one in row.references_ids if isinstance(one, str)]
    named = dict.fromkeys((row.message_id, row.in_reply_to, *references[:1], *references[-_REFERENCES:]))
    found = {row.id: _Found(*row[: len(facts)])}
    _relate(connection, found, [one for one in named if one], _siblings(connection, row.mailbox_id))
    is_cut = len(found) >= _MOST
    one_each = _once(list(found.values()), message_id, row.mailbox_id)
    shown = _around(one_each, message_id)
    by_id = summaries(connection, [one.id for one in shown])
    return MessageThread(tuple(by_id[one.id] for one in shown if one.id in by_id), len(one_each), is_cut)


def _facts(connection: Connection) -> list[ColumnElement[Any]]:
    """The columns of `_Found`."""
    *columns, last = (each.name for each in fields(_Found))
    return [*(messages.c[name] for name in columns), ROOT[connection.dialect.name].label(last)]


def _siblings(connection: Connection, mailbox_id: int) -> set[int]:
    """All mailboxes of the account that has this one."""
    account = select(mailboxes.c.account).where(mailboxes.c.id == mailbox_id).scalar_subquery()
    return set(connection.execute(select(mailboxes.c.id).where(mailboxes.c.account == account)).scalars())


def _relate(connection: Connection, found: dict[int, _Found], keys: Sequence[str], boxes: Set[int]) -> None:
    """Add what names one of these Message-IDs, or has one, and what these name and have in turn."""
    root = ROOT[connection.dialect.name]
    known = set(keys)
    for _ in range(_ROUNDS):
        if not keys:
            break
        named = select(messages.c.id).where(messages.c.message_id.in_(keys), _kept).limit(_MOST).subquery()
        begun = select(messages.c.id).where(root.in_(keys)).limit(_MOST).subquery()
        # Whose account it is, is seen here: a planner might take the index of mailboxes for the better one.
        ids = union(select(named.c.id), select(begun.c.id))
        query = select(*_facts(connection)).where(messages.c.id.in_(ids), _kept)
        rows = [_Found(*row) for row in connection.execute(query)]
        fresh = [one for one in rows if one.mailbox_id in boxes and one.id not in found]
        found |= {one.id: one for one in fresh}
        met = dict.fromkeys(key for one in fresh for key in (one.message_id, one.root) if key)
        keys = [key for key in met if key not in known]
        known.update(keys)
        if len(known) > _MOST or len(found) >= _MOST:
            break


def _once(found: Sequence[_Found], message_id: int, mailbox_id: int) -> list[_Found]:
    """In the order of time, copies (the same bytes) once: the one that is looked at, else that of its mailbox, else the
    first."""
    by_preference = sorted(found, key=lambda one: (one.id != message_id, one.mailbox_id != mailbox_id, one.id))
    chosen: dict[object, _Found] = {}
    for one in by_preference:
        chosen.setdefault(one.sha256 or one.id, one)
    return sorted(chosen.values(), key=lambda one: (one.received_at, one.id))


def _around(all_of_it: Sequence[_Found], message_id: int) -> Sequence[_Found]:
    """So many as are shown, with this one among them."""
    at = next((place for place, one in enumerate(all_of_it) if one.id == message_id), 0)
    first = max(0, min(at - _SHOWN // 2, len(all_of_it) - _SHOWN))
    return all_of_it[first : first + _SHOWN]
