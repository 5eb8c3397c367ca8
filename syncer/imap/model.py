"""What the IMAP connection takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr

from mailcore.account import Source, setting
from mailcore.errors import CommandFailed, Retry, Scope
from mailcore.imap.news import Hint
from mailcore.imap.sequence import UidSet
from mailcore.oauth.source import TokenSource
from mailcore.settings import Account


@dataclass(frozen=True)
class Endpoint:
    """Where and as whom. Timeouts are seconds; `ca_file` (PEM) replaces the system's authorities.

    `connect_timeout` bounds TCP, TLS and the greeting together; `command_timeout` is how long the server may stay
    silent while it owes an answer. `tokens`: the login is by an access token, and there is no password; `credentials`
    is what a person looks at when it is refused. `count` is told of all bytes that come. `source` is where a person
    sets all this; `hosts` are as in Account.
    """

    host: str
    port: int
    user: str
    password: SecretStr
    use_ssl: bool = True
    starttls: bool = False
    ca_file: Path | None = None
    connect_timeout: float = 15.0
    command_timeout: float = 60.0
    source: Source = "environment"
    hosts: tuple[str, ...] | None = None
    tokens: TokenSource | None = field(default=None, repr=False)
    credentials: str = ""
    count: Callable[[int], None] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls, account: Account, tokens: TokenSource | None = None, count: Callable[[int], None] | None = None
    ) -> Self:
        return cls(
            host=account.host,
            port=account.port,
            user=account.user,
            password=account.password,
            use_ssl=account.use_ssl,
            starttls=account.starttls,
            ca_file=account.ca_file,
            source=account.source,
            hosts=account.hosts,
            tokens=tokens,
            credentials=account.credentials,
            count=count,
        )

    @property
    def check(self) -> str:
        """What a person looks at when the login is refused."""
        return self.credentials or f"{self.setting('user')} and {self.setting('password')}"

    def setting(self, name: str) -> str:
        """How a person calls the setting `name`, as in Account.setting()."""
        return setting(self.source, name)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Selected:
    """What SELECT told (RFC 9051 §6.3.2). What the server did not say, or what is no such number, is None."""

    uidvalidity: int
    uidnext: int | None
    exists: int | None
    highestmodseq: int | None


@dataclass(frozen=True)
class MailboxStatus:
    """What STATUS told (RFC 9051 §6.3.11). What the server did not say, or what is no such number, is None: all of it
    where STATUS was refused."""

    uidvalidity: int | None
    uidnext: int | None
    messages: int | None
    highestmodseq: int | None
    objectid: str = ""  # MAILBOXID (RFC 8474)


@dataclass(frozen=True)
class Listing:
    """What UID SEARCH ALL listed, and the number of messages that EXISTS and EXPUNGE had told when it ended (RFC 9051
    §7.4.1; None if they did not): where the two differ the server contradicts itself, or the mailbox just changed."""

    uids: UidSet
    exists: int | None


@dataclass(frozen=True)
class Listed:
    """One mailbox of LIST. `name` is decoded; `flags` as the server wrote them (`\\HasNoChildren`, `\\Sent`). `status`
    is None where it was not asked for or not given."""

    name: str
    flags: frozenset[str]
    selectable: bool
    delimiter: str | None = field(default=None, compare=False)
    status: MailboxStatus | None = field(default=None, compare=False)


@dataclass(frozen=True)
class MailboxesListed:
    """What LIST gave. `whole` is False where some of it could not be read: what is not among `mailboxes` may be there
    all the same."""

    mailboxes: tuple[Listed, ...]
    whole: bool


@dataclass(slots=True)
class FetchedMessage:
    """One message of a UID FETCH. `internaldate` is in UTC; `size` is RFC822.SIZE as the server announced it. Both are
    None where the server sent none, or no date and no number.

    `body` is None when it was not asked for or the message is gone (NIL). `complete` says that `body` is the whole
    message: it goes by the bytes that came, as some servers' RFC822.SIZE is an estimate. `email_id` to `labels` are as
    in Fetch.
    """

    uid: int
    flags: tuple[str, ...]
    internaldate: datetime | None
    size: int | None
    body: bytes | None = field(default=None, repr=False)
    complete: bool = False
    email_id: str | None = None
    thread_id: str | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Push:
    """Why idle() ended, and every hint (Exists, Expunge, Vanished, Fetch with flags) since the last one, in order.

    `at` is when the first hint came (aware, UTC); None without hints. `ended`: the server ended the IDLE by itself and
    told nothing.
    """

    hints: tuple[Hint, ...]
    reason: Literal["push", "refresh", "interrupted", "ended"]
    at: datetime | None = None


class IdleRefused(CommandFailed):
    """The server offers IDLE and refused it; everything else works."""


class MessageGone(CommandFailed):
    """The message was expunged before we had all of it."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER
