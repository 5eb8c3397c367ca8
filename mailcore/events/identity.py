"""I1: one identity everywhere: the event id, the `Nats-Msg-Id`, the UNIQUE key of the row, part of the file path."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from mailcore.errors import EventError

MAX_UID = 0xFFFF_FFFF  # nz-number, RFC 9051 §9


@lru_cache(maxsize=1024)  # the same few names, for every message
def _quote(text: str) -> str:
    return quote(text, safe="", encoding="utf-8", errors="surrogatepass")


def _unquote(text: str) -> str:
    return unquote(text, encoding="utf-8", errors="surrogatepass")


@dataclass(frozen=True, slots=True, order=True)
class MailboxKey:
    """One mailbox of one account. `mailbox` is the decoded (Unicode) name."""

    account: str
    mailbox: str

    def __str__(self) -> str:
        return f"{_quote(self.account)}/{_quote(self.mailbox)}"

    @property
    def source(self) -> str:
        """The CloudEvents `source` (a URI reference)."""
        return f"/accounts/{_quote(self.account)}/mailboxes/{_quote(self.mailbox)}"

    def message(self, uidvalidity: int, uid: int) -> Identity:
        return Identity(self.account, self.mailbox, uidvalidity, uid)


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """(account, mailbox, UIDVALIDITY, UID): RFC 9051 §2.3.1.1 makes it unique for ever."""

    account: str
    mailbox: str
    uidvalidity: int
    uid: int

    def __str__(self) -> str:
        return f"{_quote(self.account)}/{_quote(self.mailbox)}/{self.uidvalidity}/{self.uid}"

    @property
    def key(self) -> MailboxKey:
        return MailboxKey(self.account, self.mailbox)

    @classmethod
    def parse(cls, text: str) -> Identity:
        """The inverse of `str()`; raises EventError."""
        parts = text.split("/")
        try:
            account, mailbox, uidvalidity, uid = parts
            found = cls(_unquote(account), _unquote(mailbox), int(uidvalidity), int(uid))
        except ValueError as error:
            raise EventError(f"not a message identity: {text[:200]!r}") from error
        if not (0 < found.uid <= MAX_UID and 0 < found.uidvalidity <= MAX_UID) or str(found) != text:
            raise EventError(f"not a message identity: {text[:200]!r}")
        return found
