"""A mailbox and a sync run as the page of mailbox states shows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from api.routes.states import KnownMailbox, NewMailbox
from mailcore.events.control import MailboxResult, SyncRun

Tone = Literal["good", "warn", "bad", ""]

_JUST_PUSHED: Final = timedelta(seconds=5)
# Session states in which all is well, in words that a person knows.
_GOOD: Final = {"idling": "live", "polling": "polling"}


@dataclass(frozen=True, slots=True)
class MailboxView:
    """`stored` is counted, where the syncer's own count may be some moments old."""

    state: KnownMailbox | NewMailbox
    result: MailboxResult | None
    stored: int
    now: datetime

    @property
    def row(self) -> KnownMailbox | None:
        return self.state if isinstance(self.state, KnownMailbox) else None

    @property
    def connection(self) -> str:
        if self.state.live is None:
            return "no syncer"
        return _GOOD.get(self.state.live.connection, self.state.live.connection)

    @property
    def tone(self) -> Tone:
        if self.state.live is None:
            return "bad"
        if self.state.live.connection in _GOOD:
            return "good"
        return "bad" if self.state.live.error else "warn"

    @property
    def in_flight(self) -> int:
        return self.state.live.in_flight if self.state.live else 0

    @property
    def just_pushed(self) -> bool:
        """The server told of mail a moment ago: what is not stored yet is not missing yet."""
        pushed = self.row.last_push_at if self.row else None
        return pushed is not None and self.now - pushed < _JUST_PUSHED

    @property
    def difference(self) -> int:
        """What the server has and nobody has in hand: not stored, not on its way."""
        if self.row is None or self.just_pushed:
            return 0
        return max(0, self.row.message_count - self.stored - self.in_flight)

    @property
    def error(self) -> str:
        """What went wrong last, if nothing went well since."""
        if self.state.live and self.state.live.error:
            return self.state.live.error
        return self.row.last_error if self.row and self.row.last_sync_status == "failed" else ""


@dataclass(frozen=True, slots=True)
class RunView:
    """A sync run: how far it is, and what came of it."""

    run: SyncRun

    @property
    def running(self) -> bool:
        return self.run.status == "running"

    @property
    def tone(self) -> Tone:
        tones: dict[str, Tone] = {"ok": "good", "partial": "warn", "failed": "bad"}
        return tones.get(self.run.status, "")

    @property
    def failures(self) -> list[MailboxResult]:
        return [one for one in self.run.results if one.status == "failed"]

    @property
    def done(self) -> int:
        return sum(one.status != "running" for one in self.run.results)


def totals(views: list[MailboxView]) -> dict[str, int]:
    """Sums over all mailboxes."""
    rows = [view.row for view in views if view.row]
    return {
        "server": sum(row.message_count for row in rows),
        "stored": sum(view.stored for view in views),
        "in_flight": sum(view.in_flight for view in views),
        "difference": sum(view.difference for view in views),
        "missed": sum(row.sweep_found_missed for row in rows),
    }
