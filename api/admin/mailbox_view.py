"""A mailbox and a sync run as the page of mailbox states shows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from api.routes.states import KnownMailbox, NewMailbox
from mailcore.events.control import MailboxResult, RefusedMessage, SyncRun
from mailcore.trouble import SYNCED, Kind, Trouble, paused, troubles

Tone = Literal["good", "warn", "bad", ""]

_JUST_PUSHED: Final = timedelta(seconds=5)
_SHOWN: Final = 5  # refused messages
_TONES: Final[dict[Kind, Tone]] = {Kind.FAILING: "bad", Kind.FAILED: "bad", Kind.NOTE: "", Kind.BUDGET: ""}


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
        live = self.state.live
        if live is None:
            return "no syncer"
        if paused(live, self.now):
            return "paused"
        return "live" if live.connection == "idling" else live.connection

    @property
    def tone(self) -> Tone:
        live = self.state.live
        if live is None:
            return "bad"
        if paused(live, self.now):
            return "warn"
        if live.connection in SYNCED:
            return "good"
        return "bad" if live.error else "warn"

    @property
    def troubles(self) -> list[TroubleView]:
        return [TroubleView(one) for one in troubles(self.row, self.state.live, self.now)]

    @property
    def compared(self) -> bool:
        """Whether it ever was, and nothing is wrong with the last time: only then may a number be called right."""
        row = self.row
        return row is not None and row.last_sync_at is not None and row.last_sync_status in ("ok", "running")

    @property
    def refused(self) -> int:
        """What the server lists and does not give."""
        return sum(one.trouble.count for one in self.troubles)

    @property
    def dead(self) -> int:
        """Dead letters."""
        return self.state.live.dead_count if self.state.live else 0

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
        """What the server has and nobody has in hand: not stored, not on its way, neither refused nor dead."""
        if self.row is None or self.just_pushed:
            return 0
        return max(0, self.row.message_count - self.stored - self.in_flight - self.refused - self.dead)


@dataclass(frozen=True, slots=True)
class TroubleView:
    """One trouble of a mailbox."""

    trouble: Trouble

    @property
    def tone(self) -> Tone:
        return _TONES.get(self.trouble.kind, "warn")

    @property
    def messages(self) -> tuple[RefusedMessage, ...]:
        """The first ones."""
        return self.trouble.messages[:_SHOWN]

    @property
    def more(self) -> int:
        """How many are not among them."""
        return self.trouble.count - len(self.messages)


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
        """Those that failed, and those of which not everything could be had."""
        return [one for one in self.run.results if one.status == "failed" or one.error]

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
        "refused": sum(view.refused for view in views),
        "missed": sum(row.sweep_found_missed for row in rows),
    }
