"""How far a deep run is: what one that is interrupted leaves to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from mailcore.events.identity import MailboxKey


class OfMailbox(BaseModel):
    """All messages up to `uid` were compared; `unlike` are those of them for which the server gave other bytes."""

    account: str
    mailbox: str
    uidvalidity: int
    uid: int
    unlike: list[int] = []


class OfFiles(BaseModel):
    """All files up to the row `id` were read; `wrong` are the rows of those of them that were not as they should be."""

    id: int = 0
    wrong: list[int] = []


class _Kept(BaseModel):
    mailboxes: list[OfMailbox] = []
    files: OfFiles = OfFiles()


@dataclass
class Position:
    """Of one run, over all its accounts."""

    mailboxes: dict[MailboxKey, OfMailbox] = field(default_factory=dict)
    files: OfFiles = field(default_factory=OfFiles)

    def __bool__(self) -> bool:
        return bool(self.mailboxes or self.files.id)

    def __iter__(self) -> Iterator[OfMailbox]:
        return iter(self.mailboxes.values())

    def of(self, key: MailboxKey, uidvalidity: int) -> OfMailbox:
        """Where that mailbox is; at its beginning if its UIDVALIDITY is another one by now."""
        found = self.mailboxes.get(key)
        if found is None or found.uidvalidity != uidvalidity:
            found = OfMailbox(account=key.account, mailbox=key.mailbox, uidvalidity=uidvalidity, uid=0)
            self.mailboxes[key] = found
        return found

    def kept(self) -> dict[str, Any]:
        """As the report's row has it."""
        return _Kept(mailboxes=list(self), files=self.files).model_dump(mode="json")

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> Position:
        """At the beginning if there is none, or one of another version."""
        try:
            found = _Kept.model_validate(kept or {})
        except ValidationError:
            return cls()
        return cls({MailboxKey(one.account, one.mailbox): one for one in found.mailboxes}, found.files)
