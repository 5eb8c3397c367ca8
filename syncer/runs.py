"""Sync runs by hand: which mailboxes, one run id, one result. Single-flight: a request for the same joins it."""

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
from syncer.mailbox import MailboxTasks, Part

KEEP = 200  # ended runs that can still be asked for


@dataclass(slots=True)
class ManualRun:
    """One run over some mailboxes. `hopeless` are results of accounts that have no mailbox to sweep yet."""

    run_id: str
    parts: dict[MailboxKey, Part]
    hopeless: tuple[MailboxResult, ...] = ()
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def ended(self) -> bool:
        return all(part.run.ended for part in self.parts.values())

    async def wait(self, seconds: float) -> None:
        """Until the run has ended, or `seconds` have passed."""
        with trio.move_on_after(seconds):
            for part in self.parts.values():
                await part.ended.wait()

    def result(self) -> SyncRun:
        results = (*(part.result() for part in self.parts.values()), *self.hopeless)
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


class ManualRuns:
    """The runs of this process, the latest KEEP of them."""

    def __init__(self) -> None:
        self._runs: dict[str, ManualRun] = {}

    def get(self, run_id: str) -> ManualRun | None:
        return self._runs.get(run_id)

    def start(
        self, mailboxes: Mapping[MailboxKey, MailboxTasks], hopeless: tuple[MailboxResult, ...] = ()
    ) -> ManualRun:
        """Start a run over `mailboxes`, or join one over the same: one over more would be held up by those that nobody
        asked for. A scheduled sweep of the one mailbox asked for is such a run too."""
        for run in self._runs.values():
            if not run.ended and run.parts.keys() == mailboxes.keys() and not hopeless:
                return run
        run_id = uuid.uuid4().hex
        parts = {key: mailbox.ask(full=True, run_id=run_id, by=FoundBy.MANUAL) for key, mailbox in mailboxes.items()}
        if len(parts) == 1 and (scheduled := next(iter(parts.values())).run.run_id) not in self._runs:
            run_id = scheduled
        run = ManualRun(run_id, parts, hopeless)
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
