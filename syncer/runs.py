"""Sync runs by hand: which mailboxes, one run id, one result. Single-flight: a request joins a run that covers it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import trio

from mailcore.events.control import MailboxResult, SyncRun
from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from syncer.book import Tally
from syncer.mailbox import Mailbox

KEEP = 200  # ended runs that can still be asked for


@dataclass(slots=True)
class Run:
    """One run over some mailboxes. `hopeless` are results of accounts that have no mailbox to look at yet."""

    run_id: str
    parts: dict[MailboxKey, Tally]
    hopeless: tuple[MailboxResult, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def ended(self) -> bool:
        return all(tally.settled.is_set() for tally in self.parts.values())

    async def wait(self, seconds: float) -> None:
        """Until the run has ended, or `seconds` have passed."""
        with trio.move_on_after(seconds):
            for tally in self.parts.values():
                await tally.settled.wait()

    def result(self) -> SyncRun:
        results = (*(tally.result(key) for key, tally in self.parts.items()), *self.hopeless)
        return SyncRun(
            run_id=self.run_id,
            status=_status(results, self.ended),
            started_at=self.started_at,
            duration_ms=max((result.duration_ms for result in results), default=0),
            found=sum(result.found for result in results),
            published=sum(result.published for result in results),
            stored=sum(result.stored for result in results),
            expunged=sum(result.expunged for result in results),
            results=results,
        )


class Runs:
    """The runs of this process, the latest KEEP of them."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def get(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def start(self, mailboxes: Mapping[MailboxKey, Mailbox], hopeless: tuple[MailboxResult, ...] = ()) -> Run:
        """Start a run over `mailboxes`, or join one that covers them. A scheduled sweep of the one mailbox asked for is
        such a run too."""
        for run in self._runs.values():
            if not run.ended and run.parts.keys() >= mailboxes.keys() and not hopeless:
                return run
        run_id = uuid.uuid4().hex
        parts = {
            key: mailbox.request_look(full=True, run_id=run_id, found_by=FoundBy.MANUAL)
            for key, mailbox in mailboxes.items()
        }
        if len(parts) == 1:
            run_id = next(iter(parts.values())).run_id
        run = Run(run_id, parts, hopeless)
        self._runs[run_id] = run
        for old in [known for known, kept in self._runs.items() if kept.ended][:-KEEP]:
            del self._runs[old]
        return run


def _status(results: Sequence[MailboxResult], ended: bool) -> Literal["running", "ok", "partial", "failed"]:
    if not ended:
        return "running"
    failed = sum(result.status == "failed" for result in results)
    if failed == 0:
        return "ok"
    return "failed" if failed == len(results) else "partial"
