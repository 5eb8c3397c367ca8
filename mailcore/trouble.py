"""What keeps a mailbox from being whole, for whoever shows it: since when, until when, and the server's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from mailcore.events.control import RefusedMessage
from mailcore.store.row import Refused

# Session states in which mail is found, whatever was said on the way there.
SYNCED: Final = frozenset(("idling", "notified", "polling"))


class Kind(StrEnum):
    """`note`: mail is found nevertheless; `incomplete`: the last look was not whole; `failed`: there was none;
    `budget`: older mail waits until the account may fetch more, and all is well."""

    PAUSED = "paused"
    FAILING = "failing"
    NOTE = "note"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    BUDGET = "budget"


# Of these nobody need do anything.
CALM: Final = frozenset((Kind.NOTE, Kind.BUDGET))


@dataclass(frozen=True, slots=True)
class Trouble:
    """`count` is of refused messages, `messages` are as many of them as are known by name. Nothing is tried before
    `until`."""

    kind: Kind
    words: str = ""
    since: datetime | None = None
    until: datetime | None = None
    count: int = 0
    messages: tuple[RefusedMessage, ...] = ()


class Row(Protocol):
    """What of a mailbox's row counts."""

    @property
    def last_sync_status(self) -> str: ...
    @property
    def last_error(self) -> str: ...
    @property
    def last_error_at(self) -> datetime | None: ...
    @property
    def refused(self) -> Sequence[Refused | RefusedMessage]: ...


class Live(Protocol):
    """What of its live state counts."""

    @property
    def connection(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def error(self) -> str: ...
    @property
    def failing_since(self) -> datetime | None: ...
    @property
    def paused_until(self) -> datetime | None: ...
    @property
    def refused(self) -> Sequence[RefusedMessage]: ...
    @property
    def refused_count(self) -> int: ...
    @property
    def older_left(self) -> int: ...
    @property
    def older_at(self) -> datetime | None: ...
    @property
    def older_done_at(self) -> datetime | None: ...


def troubles(row: Row | None, live: Live | None, now: datetime) -> tuple[Trouble, ...]:
    """Of the whole mailbox first, then of messages; () when all is well."""
    refused = _refused(row, live)
    whole = _now(live, now) or _last(row, refused)
    return tuple(one for one in (whole, refused, _budget(live, now)) if one is not None)


def paused(live: Live, now: datetime) -> bool:
    """Whether nothing is asked of the server at this moment."""
    return live.paused_until is not None and live.paused_until > now


def named(refused: Iterable[Refused | RefusedMessage]) -> tuple[RefusedMessage, ...]:
    """What a row holds, as the syncer tells it."""
    return tuple(RefusedMessage.model_validate(one) for one in refused)


def _now(live: Live | None, now: datetime) -> Trouble | None:
    if live is None:
        return None
    if paused(live, now):
        return Trouble(Kind.PAUSED, live.error, live.failing_since, live.paused_until)
    if live.failing_since is not None:
        return Trouble(Kind.FAILING, live.error, live.failing_since)
    if not live.error:
        return None
    return Trouble(Kind.NOTE if live.connection in SYNCED else Kind.FAILING, live.error, live.since)


def _budget(live: Live | None, now: datetime) -> Trouble | None:
    if live is None or not live.older_left or live.older_at is None:
        return None
    left = f"{live.older_left:,} older message{'s' if live.older_left > 1 else ''} to come"
    if live.older_done_at is not None:
        days = max(1, round((live.older_done_at - now).total_seconds() / 86400))
        left += f", done in about {days} day{'s' if days > 1 else ''}"
    return Trouble(Kind.BUDGET, left, until=live.older_at, count=live.older_left)


def _last(row: Row | None, refused: Trouble | None) -> Trouble | None:
    if row is None or row.last_sync_status not in (Kind.FAILED, Kind.INCOMPLETE):
        return None
    told = refused is not None and (not row.last_error or any(one.reason in row.last_error for one in refused.messages))
    if told and row.last_sync_status == Kind.INCOMPLETE:
        return None  # the refused messages are what it is incomplete by
    return Trouble(Kind(row.last_sync_status), row.last_error, row.last_error_at)


def _refused(row: Row | None, live: Live | None) -> Trouble | None:
    messages = named(row.refused) if row is not None else ()
    count = len(messages)
    if live is not None:
        # The row outlives the syncer and is written some moments later, and it holds a bounded number.
        messages = messages or tuple(live.refused)
        count = max(len(messages), live.refused_count)
    if not count:
        return None
    since = min((one.since for one in messages), default=None)
    until = min((one.next_try for one in messages), default=None)
    return Trouble(Kind.REFUSED, "", since, until, count, messages)
