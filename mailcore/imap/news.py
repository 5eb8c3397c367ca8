"""What the server told of the selected mailbox, and of others (NOTIFY, RFC 5465), at any moment and unasked (RFC 9051
§5.2, §7.4). Pure.

Nothing is dropped between commands: the hints wait until somebody takes them. They are hints, never evidence: whoever
takes one looks by UID.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from mailcore.imap.response import Exists, Expunge, Fetch, ListItem, StatusItem, Vanished

Hint = Exists | Expunge | Vanished | Fetch | StatusItem | ListItem

MAX_HINTS: Final = 10_000  # where nobody ever takes them only the newest stay: any of them says "look"


class News:
    """`exists` is the number of messages as far as the server told it; None before it did."""

    def __init__(self) -> None:
        self.exists: int | None = None
        self._hints: list[Hint] = []
        self._since: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self._hints)

    def forget(self) -> None:
        """Another mailbox is being selected."""
        self.exists = None
        self.take()

    def doubt(self) -> None:
        """Something was told of the number of messages that we could not read."""
        self.exists = None

    def take(self) -> tuple[tuple[Hint, ...], datetime | None]:
        """All hints since the last call, in order, and when the first one came."""
        taken, since = tuple(self._hints), self._since
        self._hints, self._since = [], None
        return taken, since

    def record(self, told: Hint, at: datetime, *, selecting: bool) -> bool:
        """Whether it is a hint. While SELECT is answered it is the state, not news of it; an EXISTS that repeats the
        number known is none either: some servers send one at the start of each IDLE."""
        if not self._changes(told) or selecting:
            return False
        if isinstance(told, Fetch) and told.sections:
            told = replace(told, sections={})  # nobody asked for that body: it must not lie here for ever
        if not self._hints:
            self._since = at
        elif len(self._hints) >= MAX_HINTS:
            del self._hints[: MAX_HINTS // 2]
        self._hints.append(told)
        return True

    def _changes(self, told: Hint) -> bool:
        if isinstance(told, Exists):
            changed = told.count != self.exists
            self.exists = told.count
            return changed
        if isinstance(told, Fetch):
            return told.flags is not None
        if isinstance(told, StatusItem | ListItem):
            return True
        gone = len(told.uids) if isinstance(told, Vanished) else 1
        if isinstance(told, Vanished) and told.earlier:
            return False
        self.exists = max(0, self.exists - gone) if self.exists is not None else None
        return True
