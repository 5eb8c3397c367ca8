"""One mailbox: its machine (mailcore.sync.mailbox), and what its tasks (sweep, fetch, live, save) share around it."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
import trio

from mailcore.aio import aio
from mailcore.bus import Bus, StreamPosition
from mailcore.errors import MozzartError
from mailcore.events.control import MailboxLive, MailboxResult, RefusedMessage
from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from mailcore.events.thin import Dead, Stored, Synced
from mailcore.imap.sequence import UidSet
from mailcore.oauth.tokens import Tokens
from mailcore.settings import Account
from mailcore.store import Store
from mailcore.sync.flags import Following
from mailcore.sync.generation import OldPlace
from mailcore.sync.listing import Snapshot
from mailcore.sync.mailbox import Mailbox
from mailcore.sync.outage import Outage, reason
from mailcore.sync.retry import Verdict, pause
from mailcore.sync.run import Run
from mailcore.sync.statuses import Refusal
from syncer.budget import AccountBudget
from syncer.connections import Connections
from syncer.credit import Credit
from syncer.notices import Notices
from syncer.origins import Origins
from syncer.server import Servers
from syncer.transit import Transit

log = structlog.get_logger(__name__)
SAVE_PAUSE = 1.0
SHOWN = 20  # refused messages that the live state names
SAVED = 1000  # refused messages that the row names


@dataclass(slots=True)
class Shared:
    """What all mailboxes of the process share."""

    bus: Bus
    store: Store
    credit: Credit
    spool: Path
    interval: float
    servers: Servers
    tokens: Tokens
    transit: Transit = field(default_factory=Transit)
    origins: Origins = field(default_factory=Origins)
    positions: dict[str, StreamPosition] = field(default_factory=dict)  # of the streams of messages, at the last look


@dataclass(frozen=True, slots=True)
class Part:
    """A run of one mailbox, as somebody waits for it."""

    mailbox: MailboxTasks
    run: Run
    ended: trio.Event

    def result(self) -> MailboxResult:
        return self.mailbox.machine.result(self.run, time.monotonic())


class MailboxTasks:
    """What the machine decides is done by its tasks, each of which waits for `until()`."""

    def __init__(
        self,
        account: Account,
        name: str,
        connections: Connections,
        shared: Shared,
        found_at: datetime,
        counters: Callable[[str], Awaitable[Snapshot | None]],
        notices: Notices,
        budget: AccountBudget,
    ) -> None:
        self.account = account
        self.key = MailboxKey(account.name, name)
        self.connections = connections
        self.shared = shared
        self.found_at = found_at  # when the account was seen first, or the mailbox was made
        self.counters = counters  # of a LIST that begins from now on; None where it gives none
        self.notices = notices
        self.budget = budget
        self.pushed: datetime | None = None  # the server told that something happened, and a sweep is to look
        self.machine = Mailbox(self.key, shared.credit.octets, shared.interval)
        self.log = log.bind(account=account.name, mailbox=name)
        self.flags = Following()
        self.swept = trio.Event()  # set, and made anew, at the end of each sweep
        self.interrupt: Callable[[], None] | None = None  # ends a running IDLE
        self.status_took = 1.0  # seconds
        self.missed = 0
        self.swept_at = 0.0  # seconds since 1970, when a sweep last came to its end
        self.connection = "connecting"
        self.since = datetime.now(UTC)
        self.error = ""
        self._failing_since: datetime | None = None
        self._outage = Outage()
        self._reported = ""  # why the last `synced` event said that it failed
        self._changed = trio.Event()
        self._ends: dict[str, trio.Event] = {}
        self._unsaved: dict[str, Any] = {}
        self._to_save = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()
        self._stopped.set()

    async def run(self, *tasks: Callable[[MailboxTasks], Any]) -> None:
        """The tasks, until stop() or for ever."""
        self._stopped = trio.Event()
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    for task in (*tasks, MailboxTasks.save):
                        self._nursery.start_soon(task, self)
        finally:
            self._nursery = None  # whoever ends a run from here on has nobody to tell it
            self._stopped.set()

    async def stop(self) -> None:
        self._scope.cancel()
        await self._stopped.wait()

    def found(self, at: datetime) -> None:
        """It was found on the server at that moment, and was not there before."""
        if not self.machine.uidvalidity:
            self.found_at = at

    def start_soon(self, task: Callable[..., Any], *args: Any) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task, *args)

    # ---- the machine and its clock ----

    async def until(self, due: Callable[[], float]) -> None:
        """Until the moment `due()` (monotonic seconds), which is asked anew after each changed()."""
        while (left := due() - time.monotonic()) > 0:
            changed = self._changed
            with trio.move_on_after(left):
                await changed.wait()

    def changed(self) -> None:
        """Something may be due now; runs may have ended."""
        self._tell()
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def ask(self, *, full: bool = False, by: FoundBy = FoundBy.SWEEP, run_id: str = "") -> Part:
        """Sweep soon. Single-flight: a request during a run joins it."""
        run = self.machine.ask(time.monotonic(), run_id or uuid.uuid4().hex, full=full, by=by)
        if by is FoundBy.MANUAL:
            self.connections.hurry()
            self.flags.hurry(time.monotonic())
        part = Part(self, run, self._ends.setdefault(run.run_id, trio.Event()))
        self.changed()
        return part

    def wait_after(self, attempts: int, found: Verdict) -> float:
        return pause(attempts, found, random.random)

    # ---- what happened ----

    def entered(self, connection: str, error: str = "") -> None:
        """The live connection is in another state now: one log line, and the states that the api shows."""
        now = datetime.now(UTC)
        ended = connection in ("idling", "polling") and self.works("live", state=connection)
        if (connection, error) != (self.connection, self.error):
            write = self.log.debug if ended or self._outage.going_on or connection == "backing off" else self.log.info
            write("connection", state=connection, **({"error": error} if error else {}))
            self.since = now
        self._failing_since = (self._failing_since or now) if error else None
        self.connection, self.error = connection, error
        if error:
            self.remember(last_error=error, last_error_at=now)

    def fails(self, part: str, error: str, wait: float) -> None:
        """One way to its mail failed and is tried again after so many seconds. The log tells each reason once; why its
        whole account is refused is told for the account."""
        facts = None if self.connections.refused else self._outage.failed(part, error, time.monotonic())
        write = self.log.debug if facts is None else self.log.warning
        write("mailbox failing", part=part, **(facts or {"error": error}), next_try_s=round(wait, 1))

    def works(self, part: str, **facts: object) -> bool:
        """It worked; whether that ended what failed."""
        ended = self._outage.works(part, time.monotonic())
        if ended is not None:
            self.log.info("mailbox works again", **facts, **ended)
        return ended is not None

    def heard(self, event: Stored | Dead) -> None:
        """A consumer's `stored` or `dead`, from the asyncio side of the same thread."""
        now, rebound = time.monotonic(), None
        if isinstance(event, Stored) and event.rebound_from is not None:
            rebound = OldPlace(event.rebound_from.uidvalidity, event.rebound_from.uid)
        dead = event.error or "no reason given" if isinstance(event, Dead) else ""
        sha256 = event.sha256 if isinstance(event, Stored) else ""
        self.machine.settled(event.uidvalidity, event.uid, now, dead=dead, rebound=rebound, sha256=sha256)
        self.shared.credit.changed()
        self.remember()
        if rebound is not None and event.uidvalidity == self.machine.uidvalidity:
            self.flags.doubt(UidSet((event.uid,)))
        if event.uid in self.flags.todo:
            self.changed()
        elif self.machine.ended:
            self._tell()

    def not_given(self, uidvalidity: int, uids: Mapping[int, str]) -> None:
        """The server lists these and does not give them, or not so that they could be taken: one line for each, and it
        is asked again later."""
        if uids:
            self.machine.not_given(uidvalidity, uids, time.monotonic())
            self.tell_refused(uids)

    def tell_refused(self, uids: Iterable[int]) -> None:
        now = time.monotonic()
        for uid in uids:
            one = self.machine.uids.refused.get(uid)
            if one is not None:
                self.log.warning("message refused", uid=uid, error=one.words, tries=one.tries,
                                 next_try_s=round(one.next_try - now))  # fmt: skip
        self.remember()
        self.changed()

    def close(self, reason: str) -> None:
        """It is synced no longer: runs are told why, and what is in flight is kept for whoever opens it again."""
        machine, identity = self.machine, self.machine.identity
        machine.fail(reason, time.monotonic())
        self._tell()
        for uid, entry in machine.uids.in_flight.items():
            self.shared.transit.published(identity(uid), machine.row_id, entry.stream, entry.seq, entry.size)
        for uid in machine.uids.dead:
            self.shared.transit.died(identity(uid), machine.row_id)
        machine.close()
        self.shared.credit.changed()

    # ---- runs ----

    def _tell(self) -> None:
        ended, self.machine.ended = self.machine.ended, []
        for run in ended:
            self._ends.pop(run.run_id, trio.Event()).set()
            self.start_soon(self._report, run)

    async def _report(self, run: Run) -> None:
        """The `synced` event and one log line, if the run did something, if somebody asked, or if it fails for another
        reason than the one before, or no longer."""
        result = self.machine.result(run, time.monotonic())
        before, self._reported = self._reported, reason(result.error)
        if not (run.asked or result.found or result.expunged or self._reported != before):
            return
        write = self.log.info if run.asked or result.found or result.expunged else self.log.debug
        write("synced", by=run.found_by.value, found=result.found, published=result.published,
                      stored=result.stored, expunged=result.expunged, ms=result.duration_ms,
                      **({"error": result.error} if result.error else {}))  # fmt: skip
        event = Synced(
            account=result.account,
            mailbox=result.mailbox,
            at=datetime.now(UTC),
            run_id=run.run_id,
            status="failed" if result.status == "failed" else "ok",
            found_by=run.found_by,
            found=result.found,
            published=result.published,
            stored=result.stored,
            expunged=result.expunged,
            duration_ms=result.duration_ms,
            error=result.error,
        )
        try:
            await aio(self.shared.bus.publish, event)
        except MozzartError as error:
            self.log.warning("synced event not published", error=str(error))

    # ---- the row ----

    def remember(self, **columns: Any) -> None:
        """Columns of the mailbox state row, written soon (once a second at most, never on the way of a message)."""
        self._unsaved |= columns
        self._to_save.set()

    async def save(self) -> None:
        """The task that writes them; a database that is away delays it and stops nothing (I8)."""
        warned = False
        while True:
            await self._to_save.wait()
            self._to_save = trio.Event()
            try:
                await self.flush()
                warned = False
            except MozzartError as error:
                if not warned:
                    self.log.warning("mailbox state not saved; trying again", error=str(error))
                warned = True
                self._to_save.set()
            await trio.sleep(SAVE_PAUSE)

    async def flush(self) -> None:
        """Write them now. `uidvalidity` is not among them: only the opening of a generation writes that one."""
        columns, self._unsaved = self._unsaved, {}
        status, words = self.machine.state()
        if self.machine.uidvalidity or words:
            columns["last_sync_status"] = status
        if words:
            columns |= {"last_error": words, "last_error_at": datetime.now(UTC)}
        if self.machine.uidvalidity:
            columns["stored_count"] = len(self.machine.uids.stored)
            columns["refused"] = [one.model_dump(mode="json") for one in self._refusals(SAVED)]
        try:
            await aio(self._save_columns, columns)
        except BaseException:  # cancelled, too: what was not written is still to be written
            self._unsaved = columns | self._unsaved
            raise

    async def _save_columns(self, columns: dict[str, Any]) -> None:
        await self.shared.store.save_mailbox(self.key, **columns)

    def _refusals(self, most: int) -> list[RefusedMessage]:
        return [
            RefusedMessage(uid=uid, reason=one.words, since=_at(one.since), tries=one.tries, next_try=_at(one.next_try))
            for uid, one in list(self.machine.uids.refused.items())[:most]
        ]

    def reckon(self) -> None:
        """Put older mail off for as long as the account may fetch no more."""
        now = time.monotonic()
        self.machine.put_off(self.budget.older_at() if self.budget.of_day.limit else 0.0, now)
        self.changed()

    def live_state(self, older_done_at: datetime | None = None) -> MailboxLive:
        machine, paused = self.machine, self.connections.paused
        connection, error = self.connection, self.error
        if connection == "polling" and self.notices.active:
            connection, error = "notified", ""
        held = _at(machine.held_until) if machine.held_until > time.monotonic() else None
        status, words = machine.state()
        older_at = machine.put_off_until(time.monotonic())
        return MailboxLive(
            account=self.key.account,
            mailbox=self.key.mailbox,
            connection=connection,
            since=self.since,
            in_flight=len(machine.uids.in_flight),
            in_flight_bytes=machine.uids.octets,
            error=self.connections.refused or error or (words if status in ("failed", "incomplete") else ""),
            failing_since=paused.since if paused else self._failing_since,
            paused_until=paused.until_at if paused else held,
            refused=tuple(self._refusals(SHOWN)),
            refused_count=len(machine.uids.refused),
            dead_count=len(machine.uids.dead),
            older_left=machine.older if older_at is not None else 0,
            older_at=_at(older_at) if older_at is not None else None,
            older_done_at=older_done_at if older_at is not None else None,
        )


def refusals(saved: Any) -> dict[int, Refusal]:
    """What an earlier process wrote into the row, on this one's clock."""
    known = [RefusedMessage.model_validate(one) for one in saved or ()]
    return {one.uid: Refusal(one.reason, _since(one.since), one.tries, _since(one.next_try)) for one in known}


def _at(moment: float) -> datetime:
    """A monotonic moment on the wall clock."""
    return datetime.now(UTC) + timedelta(seconds=moment - time.monotonic())


def _since(at: datetime) -> float:
    return time.monotonic() + (at - datetime.now(UTC)).total_seconds()
