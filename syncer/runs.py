"""Sync runs by hand: which mailboxes, one run id, one result. Single-flight: a request for the same joins it."""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import trio

from mailcore.events.control import MailboxResult, SyncRun
from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from syncer.account import AccountTasks
from syncer.mailbox import MailboxTasks, Part

KEEP = 200  # ended runs that can still be asked for


@dataclass(slots=True)
class ManualRun:
    """One run over some mailboxes, or over whole accounts: those whose mailboxes are still being `listed` may get more
    parts. `unlisted` are results of accounts where that failed."""

    run_id: str
    parts: dict[MailboxKey, Part] = field(default_factory=dict)
    listed: dict[str, trio.Event] = field(default_factory=dict)
    unlisted: list[MailboxResult] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def ended(self) -> bool:
        listed = all(event.is_set() for event in self.listed.values())
        return listed and all(part.run.ended for part in self.parts.values())

    async def wait(self, seconds: float) -> None:
        """Until the run has ended, or `seconds` have passed."""
        with trio.move_on_after(seconds):
            for event in self.listed.values():
                await event.wait()
            for part in tuple(self.parts.values()):
                await part.ended.wait()

    def add(self, mailboxes: Mapping[MailboxKey, MailboxTasks]) -> None:
        for key, mailbox in mailboxes.items():
            if key not in self.parts:
                self.parts[key] = mailbox.ask(full=True, run_id=self.run_id, by=FoundBy.MANUAL)

    def drop(self, account: str, mailboxes: Container[MailboxKey]) -> None:
        """Those of the account that are no more, or have another name."""
        self.parts = {key: part for key, part in self.parts.items() if key.account != account or key in mailboxes}

    def result(self) -> SyncRun:
        results = (*(part.result() for part in self.parts.values()), *self.unlisted)
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

    def start(self, mailboxes: Mapping[MailboxKey, MailboxTasks], accounts: Sequence[AccountTasks] = ()) -> ManualRun:
        """Start a run over `mailboxes` and all that `accounts` have, or join one over the same: one over more would be
        held up by those that nobody asked for. A scheduled sweep of the one mailbox asked for is such a run too."""
        wanted = {tasks.account.name for tasks in accounts}
        for run in self._runs.values():
            same = run.listed.keys() == wanted and (wanted or run.parts.keys() == mailboxes.keys())
            if same and not run.ended:
                return run
        run = ManualRun(uuid.uuid4().hex)
        run.add(mailboxes)
        if not accounts and len(run.parts) == 1:
            (scheduled,) = (part.run.run_id for part in run.parts.values())
            run.run_id = run.run_id if scheduled in self._runs else scheduled
        self._runs[run.run_id] = run
        for tasks in accounts:
            self._extend(run, tasks)
        for old in [known for known, kept in self._runs.items() if kept.ended][:-KEEP]:
            del self._runs[old]
        return run

    def _extend(self, run: ManualRun, tasks: AccountTasks) -> None:
        """With what the account has now, and again with what a LIST finds."""
        ended = run.listed[tasks.account.name] = trio.Event()

        def told(error: str) -> None:
            run.drop(tasks.account.name, tasks.mailboxes)
            run.add(tasks.mailboxes)
            if error and tasks.patterns:
                about = MailboxResult(account=tasks.account.name, mailbox=tasks.patterns, status="failed", error=error)
                run.unlisted.append(about)
            ended.set()

        run.add(tasks.mailboxes)
        tasks.list(told)


def _status(results: Sequence[MailboxResult], ended: bool) -> Literal["running", "ok", "partial", "failed"]:
    if not ended:
        return "running"
    failed = sum(result.status == "failed" for result in results)
    if failed == 0:
        return "ok"
    return "failed" if failed == len(results) else "partial"
