"""The typed responses of an IMAP server (RFC 9051 §7). Pure data; `parse.py` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mailcore.imap.sequence import UidSet


@dataclass(frozen=True, slots=True)
class Section:
    """One `BODY[…]` of a FETCH: `data` is None for NIL; `origin` is the `<n>` of a partial one; `size` is what the
    server announced (`data` is shorter when our limit cut it)."""

    data: bytes | None = field(repr=False)
    origin: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Message data; what the server did not send is None. `sections` is keyed by the text in the brackets, in upper
    case: "" for the whole message. `email_id` and `thread_id` are what the server calls the bytes and their thread, in
    whichever mailbox they are (RFC 8474 §5, or Gmail's X-GM-MSGID and X-GM-THRID); `labels` are Gmail's X-GM-LABELS."""

    seq: int
    uid: int | None = None
    flags: tuple[str, ...] | None = None
    internaldate: datetime | None = None
    size: int | None = None
    modseq: int | None = None
    sections: Mapping[str, Section] = field(default_factory=dict)
    email_id: str | None = None
    thread_id: str | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    count: int


@dataclass(frozen=True, slots=True)
class Expunge:
    seq: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """RFC 7162 §3.2.10. `earlier`: not news but the answer to a question."""

    uids: UidSet
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class ESearch:
    """RFC 9051 §7.3.4. `all` is None when the server sent no ALL (it found nothing, or was not asked)."""

    tag: str
    uid: bool
    all: UidSet | None = None
    min: int | None = None
    max: int | None = None
    count: int | None = None
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """RFC 3501 §7.2.5: the numbers may come in any order and in several responses."""

    numbers: tuple[int, ...]
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class ListItem:
    """`name` is decoded (name.py); `flags` as the server wrote them."""

    flags: tuple[str, ...]
    delimiter: str | None
    name: str


@dataclass(frozen=True, slots=True)
class StatusItem:
    """`values` by item name, upper case; `objectid` is MAILBOXID (RFC 8474 §4.2), "" if it was not given."""

    name: str
    values: Mapping[str, int]
    objectid: str = ""


@dataclass(frozen=True, slots=True)
class Capability:
    """Names in upper case, as their comparison is case-insensitive."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enabled:
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Condition:
    """An untagged OK, NO, BAD, BYE or PREAUTH. `code` is the response code, upper case, "" without one; `argument` what
    followed it inside the brackets."""

    status: str
    code: str
    argument: str
    text: str


@dataclass(frozen=True, slots=True)
class Tagged:
    """The end of a command: `status` is OK, NO or BAD."""

    tag: str
    status: str
    code: str
    argument: str
    text: str


@dataclass(frozen=True, slots=True)
class Continuation:
    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """An untagged response that we have no use for: its name (upper case) and its first line."""

    name: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An untagged response that is framed well and says nothing that we understand: its name (upper case) and what is
    wrong with it, without its content."""

    name: str
    fault: str


Response = (
    Fetch
    | Exists
    | Expunge
    | Vanished
    | ESearch
    | Search
    | ListItem
    | StatusItem
    | Capability
    | Enabled
    | Condition
    | Tagged
    | Continuation
    | Other
    | Unreadable
)
